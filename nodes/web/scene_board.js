/** Draws M3DDM Scene Board's scenes in the node, a row each, to be decided for; what is decided stays in its input as JSON. */

import { app } from "../../scripts/app.js"
import { Decisions } from "./decisions.js"
import { addElement, addStyles, also, keepLooking } from "./in_node.js"
import { place } from "./placement.js"
import { SceneRows } from "./scene_rows.js"
import { loadTexts, say } from "./texts.js"

const ROOM = { least: 150, most: 420 }
const SHAPE = ["target", "custom_ratio", "left", "top", "right", "bottom", "anchor", "offset_x", "offset_y", "size_multiple"]
/** What is drawn where no M3DDM Outpaint Video is connected. */
const UNCONNECTED = { target: "16:9", anchor: "center", size_multiple: 2 }

let texts = {}

const text = (key, values) => say(texts, key, values)

/** Source and target as the M3DDM Outpaint Video that the board goes to has them, and where all scenes lie. */
function placed(node, size) {
  const link = node.outputs[0].links?.map((id) => node.graph.links.get?.(id) ?? node.graph.links[id])[0]
  const reader = link && node.graph.getNodeById(link.target_id)
  const isOurs = reader?.constructor.comfyClass === "M3DDM_OutpaintVideo"
  const asked = isOurs
    ? Object.fromEntries(SHAPE.map((name) => [name, reader.widgets.find((widget) => widget.name === name)?.value]))
    : UNCONNECTED
  return place(size, { canvas_size: 256, canvas_shape: "square", result_size: "as the source", ...asked })
}

function addRows(node) {
  const input = node.widgets.find((widget) => widget.name === "decisions")
  const isWired = () => node.inputs.some((slot) => slot.widget?.name === "decisions" && slot.link != null)
  // What the last run said is kept by the frontend too, so that it is there after other nodes ran.
  const listed = () => app.nodeOutputs?.[node.id]
  const rows = new SceneRows({
    text,
    listed,
    locked: isWired,
    decisions: () => new Decisions(String(input.value ?? "")),
    placed: (size) => placed(node, size),
    write(value) {
      app.canvas.emitBeforeChange()
      input.value = value
      input.callback?.(value, app.canvas, node)
      app.canvas.emitAfterChange()
      node.graph?.setDirtyCanvas(true, true)
    },
  })
  addElement(node, "scene_rows", "M3DDM_SCENE_ROWS", rows.element, ROOM)

  const look = () => rows.draw()
  keepLooking(node, look)
  also(node, "onExecuted", (output) => {
    rows.executed(output)
    look()
  })
}

app.registerExtension({
  name: "M3DDM.SceneBoard",
  async init() {
    addStyles("./scene_board.css")
    texts = await loadTexts("board")
  },
  nodeCreated(node) {
    if (node.constructor.comfyClass === "M3DDM_SceneBoard") addRows(node)
  },
})
