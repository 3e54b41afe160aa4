/** Draws M3DDM Edge Mask's source and target in the node, where they can be dragged; the numbers stay in its inputs. */

import { app } from "../../scripts/app.js"
import { addElement, addStyles, also, keepLooking } from "./in_node.js"
import { PlacementView } from "./placement_view.js"
import { Source } from "./source.js"
import { loadTexts, say } from "./texts.js"

const DRAWN = [
  "target", "custom_ratio", "left", "top", "right", "bottom", "anchor", "offset_x", "offset_y",
  "canvas_size", "canvas_shape", "size_multiple", "result_size", "result_pixels", "result_megapixels",
]
const ROOM = { least: 200, most: 320 }

let texts = {}

const text = (key, values) => say(texts, key, values)

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
  addElement(node, "placement_view", "M3DDM_PLACEMENT_VIEW", view.element, ROOM)

  const look = () => {
    source.look()
    view.draw()
  }
  keepLooking(node, look)
  also(node, "onExecuted", (output) => {
    source.executed(output)
    look()
  })
}

app.registerExtension({
  name: "M3DDM.EdgeMask",
  async init() {
    addStyles("./placement_view.css")
    texts = await loadTexts("placement")
  },
  nodeCreated(node) {
    if (node.constructor.comfyClass === "M3DDM_EdgeMask") addView(node)
  },
})
