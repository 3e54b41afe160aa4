/** Draws M3DDM Edge Mask's source and target in the node, where they can be dragged; the numbers stay in its inputs. */

import { app } from "../../scripts/app.js"
import { PlacementView } from "./placement_view.js"
import { Source } from "./source.js"
import { loadTexts } from "./texts.js"

const DRAWN = [
  "target", "custom_ratio", "left", "top", "right", "bottom", "anchor", "offset_x", "offset_y",
  "canvas_size", "canvas_shape", "size_multiple", "result_size", "result_pixels", "result_megapixels",
]
const HEIGHT = 200
const MOST_HEIGHT = 320
// Nothing tells of a value that another extension sets, or of a file chosen further up the graph: it is looked for.
const LOOK_EVERY_MS = 200

let texts = {}

function text(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name])
}

/** Call `next` after whatever the node does already on this occasion. */
function also(node, occasion, next) {
  const before = node[occasion]
  node[occasion] = function (...values) {
    const answer = before?.apply(this, values)
    next(...values)
    return answer
  }
}

function addView(node) {
  const widgets = Object.fromEntries(DRAWN.map((name) => [name, node.widgets.find((widget) => widget.name === name)]))
  const source = new Source(node, "images")
  const view = new PlacementView({
    source,
    text,
    asked: () => Object.fromEntries(DRAWN.map((name) => [name, widgets[name].value])),
    label: (name) => widgets[name].label ?? name,
    most: (name) => widgets[name].options.max,
    wired: () => DRAWN.filter((name) => node.inputs.some((slot) => slot.widget?.name === name && slot.link != null)),
    write(values) {
      for (const [name, value] of Object.entries(values)) {
        if (widgets[name].value === value) continue
        widgets[name].value = value
        widgets[name].callback?.(value, app.canvas, node)
      }
      node.graph?.setDirtyCanvas(true, true)
    },
  })
  const widget = node.addDOMWidget("placement_view", "M3DDM_PLACEMENT_VIEW", view.element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => HEIGHT,
    getMaxHeight: () => MOST_HEIGHT,
  })
  // The option keeps it out of the prompt, this out of the workflow file.
  widget.serialize = false

  const look = () => {
    source.look()
    view.draw()
  }
  let timer
  also(node, "onAdded", () => {
    timer ??= setInterval(look, LOOK_EVERY_MS)
  })
  also(node, "onRemoved", () => {
    clearInterval(timer)
    timer = undefined
  })
  also(node, "onExecuted", (output) => {
    source.executed(output)
    look()
  })
}

app.registerExtension({
  name: "M3DDM.EdgeMask",
  async init() {
    const style = document.createElement("link")
    style.rel = "stylesheet"
    style.href = new URL("./placement_view.css", import.meta.url).href
    document.head.append(style)
    texts = await loadTexts("placement")
  },
  nodeCreated(node) {
    if (node.constructor.comfyClass === "M3DDM_EdgeMask") addView(node)
  },
})
