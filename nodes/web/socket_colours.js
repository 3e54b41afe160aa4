/** Gives each of the pack's own kinds of wire a colour, that of no other kind, in classic and in modern nodes. */

import { app } from "../../scripts/app.js"

const COLOURS = {
  M3DDM_STATE: "#ec407a",
  M3DDM_GLOBAL_FRAMES: "#26c6da",
  M3DDM_PLACEMENT: "#c0ca33",
  M3DDM_SAMPLING: "#a1887f",
  M3DDM_SEEN: "#7986cb",
  M3DDM_PLANNED_CLIP: "#ff8a65",
  M3DDM_FLEET: "#90a4ae",
}

/** Give a map of colours these too. A palette that knows nothing of them empties them: that is not a colour. */
function addColours(map) {
  for (const [type, usual] of Object.entries(COLOURS)) {
    let colour = usual
    const set = (chosen) => (colour = chosen || usual)
    Object.defineProperty(map, type, { get: () => colour, set, enumerable: true, configurable: true })
  }
}

app.registerExtension({
  name: "M3DDM.SocketColours",
  setup() {
    const style = document.createElement("style")
    const rules = Object.entries(COLOURS).map(([type, colour]) => `--color-datatype-${type}: ${colour};`)
    style.textContent = `:root { ${rules.join(" ")} }`
    document.head.append(style)
    const maps = [app.canvas?.default_connection_color_byType, window.LGraphCanvas?.link_type_colors]
    maps.filter(Boolean).forEach(addColours)
    app.canvas?.setDirty(true, true)
  },
})
