/**
 * Shows an input only where it has an effect, and says what a choice stands for.
 *
 * A node's definition names both (nodes/host/inputs.py): `shown_when` the inputs it depends on, each with the values
 * that count, or `true` for any but 0 and false; `says` a line for each value of a combo. Hidden inputs keep their
 * places and values, so that files and prompts mean what they mean without this script.
 */

import { app } from "../../scripts/app.js"

// Nothing tells of a value that another extension or a wire sets: it is looked for.
const LOOK_EVERY_MS = 200

function options(nodeData) {
  const inputs = { ...nodeData.input?.required, ...nodeData.input?.optional }
  return Object.entries(inputs).map(([name, spec]) => [name, spec[1] ?? {}])
}

/** Whether an input has an effect; what comes over a wire is not known, so all that depends on it is shown. */
function counts(node, conditions) {
  return Object.entries(conditions).every(([name, values]) => {
    if (isWired(node, name)) return true
    const value = node.widgets.find((widget) => widget.name === name)?.value
    return values === true ? Boolean(value) : values.includes(value)
  })
}

function isWired(node, name) {
  return node.inputs.some((slot) => slot.widget?.name === name && slot.link != null)
}

/** Hide a widget or show it, for classic and modern nodes; returns whether that changed anything. */
function show(widget, shown) {
  if (!widget || widget.hidden === !shown) return false
  widget.hidden = !shown
  widget.options.hidden = !shown
  return true
}

/** A line under the inputs that cannot be written to, and is in no file and no prompt. */
function addLine(node, name) {
  const line = node.addWidget("text", name, "", () => {}, { serialize: false, read_only: true })
  line.serialize = false
  line.disabled = true
  return line
}

function watch(node, dependent, saying) {
  const lines = saying.map(([name, { says }]) => [name, says, addLine(node, `${name}_sets`)])
  const look = () => {
    let changed = false
    for (const [name, { shown_when }] of dependent) {
      const widget = node.widgets.find((one) => one.name === name)
      changed = show(widget, isWired(node, name) || counts(node, shown_when)) || changed
    }
    for (const [name, says, line] of lines) {
      const said = isWired(node, name) ? undefined : says[node.widgets.find((widget) => widget.name === name).value]
      if (said !== undefined) line.value = said
      changed = show(line, said !== undefined) || changed
    }
    if (!changed) return
    // Room that hidden inputs leave is given back, and room that is needed is taken; the width stays.
    node.setSize([node.size[0], node.computeSize()[1]])
    node.graph?.setDirtyCanvas(true, true)
  }
  let timer
  const after = (occasion, next) => {
    const before = node[occasion]
    node[occasion] = function (...values) {
      const answer = before?.apply(this, values)
      next()
      return answer
    }
  }
  after("onAdded", () => {
    look()
    timer ??= setInterval(look, LOOK_EVERY_MS)
  })
  after("onRemoved", () => {
    clearInterval(timer)
    timer = undefined
  })
}

app.registerExtension({
  name: "m3ddm.shown_when",
  nodeCreated(node) {
    const nodeData = node.constructor.nodeData
    if (!node.constructor.comfyClass?.startsWith("M3DDM_") || !nodeData) return
    const all = options(nodeData)
    const dependent = all.filter(([, option]) => option.shown_when)
    const saying = all.filter(([, option]) => option.says)
    if (dependent.length || saying.length) watch(node, dependent, saying)
  },
})
