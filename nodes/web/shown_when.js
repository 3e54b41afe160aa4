/**
 * Shows an input only where it has an effect, keeps advanced ones back until they are asked for, and says what a choice
 * stands for.
 *
 * A node's definition names all three (nodes/host/inputs.py): `shown_when` the inputs that one depends on, each with the
 * values that count, or `true` for any but 0 and false; `advanced`; `says` a line for each value of a combo. Hidden
 * inputs keep their places and values, so that files and prompts mean what they mean without this script.
 */

import { app } from "../../scripts/app.js"
import { addElement, also, keepLooking } from "./in_node.js"
import { loadTexts } from "./texts.js"

const LINE = 22
const ALWAYS = "Comfy.Node.AlwaysShowAdvancedWidgets"

let texts = {}

const isModern = () => window.LiteGraph.vueNodesMode
const widgetOf = (node, name) => node.widgets.find((widget) => widget.name === name)
const isWired = (node, name) => node.inputs.some((slot) => slot.widget?.name === name && slot.link != null)

/** Whether an input has an effect; what comes over a wire is not known, so all that depends on it is shown. */
function counts(node, name, conditions = {}) {
  return isWired(node, name) || Object.entries(conditions).every(([other, values]) => {
    if (isWired(node, other)) return true
    const value = widgetOf(node, other)?.value
    return values === true ? Boolean(value) : values.includes(value)
  })
}

/** Whether what a widget says of itself and what its options say are one, as in newer frontends. */
const saysItOnce = (widget) => "hidden" in widget && !Object.hasOwn(widget, "hidden")

/** What each widget was last made to say of itself. */
const written = new WeakMap()

/**
 * Hide a widget or show it. Modern nodes go by its options, and keep advanced ones back themselves; what a widget says of
 * itself counts for classic ones, and for the room of both.
 */
function show(node, widget, shown) {
  // A wire is to end where one sees it.
  const isKept = widget.options.advanced && !isWired(node, widget.name)
  const keptBack = isKept && !node.showAdvanced && !app.extensionManager.setting.get(ALWAYS)
  const drawn = shown && !keptBack
  const hidden = isModern() ? !shown : !drawn
  const itself = saysItOnce(widget) ? hidden : !drawn
  // What was written counts, not what is read: newer frontends have a say of their own there.
  if (written.get(widget) === itself && widget.options.hidden === hidden) return false
  written.set(widget, itself)
  widget.hidden = itself
  widget.options.hidden = hidden
  return true
}

/** A widget of the page's own under the others, in no file and no prompt. */
function addLine(node, name) {
  const element = document.createElement("div")
  element.className = "m3ddm-line"
  return addElement(node, name, "M3DDM_LINE", element, { least: LINE, most: LINE, margin: 2 })
}

/** In classic nodes nothing but the context menu shows advanced inputs. */
function addButton(node) {
  const toggle = () => {
    node.showAdvanced = !node.showAdvanced
  }
  const button = node.addWidget("button", "advanced", "", toggle, { serialize: false, canvasOnly: true })
  button.serialize = false
  return button
}

function watch(node, inputs) {
  const lines = inputs
    .filter(([, option]) => option.says)
    .map(([name, { says }]) => [name, says, addLine(node, `${name}_sets`)])
  const button = inputs.some(([, option]) => option.advanced) && addButton(node)
  const look = () => {
    let changed = false
    for (const [name, { shown_when }] of inputs) {
      const widget = widgetOf(node, name)
      if (widget) changed = show(node, widget, counts(node, name, shown_when)) || changed
    }
    for (const [name, says, line] of lines) {
      const said = isWired(node, name) ? undefined : says[widgetOf(node, name).value]
      line.element.textContent = said ?? ""
      changed = show(node, line, said !== undefined) || changed
    }
    if (button) button.label = (node.showAdvanced ? texts.fewer : texts.more) ?? button.name
    if (changed) layOut(node)
  }
  also(node, "onAdded", look)
  keepLooking(node, look)
}

/** Room that hidden inputs leave is given back, and room that is needed is taken; the width stays. */
function layOut(node) {
  // Modern nodes look at their widgets anew when the list of them changes.
  if (isModern()) node.widgets.push(node.widgets.pop())
  node.setSize([node.size[0], node.computeSize()[1]])
  node.graph?.setDirtyCanvas(true, true)
}

app.registerExtension({
  name: "m3ddm.shown_when",
  async init() {
    texts = await loadTexts("inputs")
  },
  nodeCreated(node) {
    const nodeData = node.constructor.nodeData
    if (!node.constructor.comfyClass?.startsWith("M3DDM_") || !nodeData) return
    const all = Object.entries({ ...nodeData.input?.required, ...nodeData.input?.optional })
    const inputs = all.map(([name, spec]) => [name, spec[1] ?? {}])
    const own = inputs.filter(([, option]) => option.shown_when || option.advanced || option.says)
    if (own.length) watch(node, own)
  },
})
