/**
 * Draws the graph once more when a player or a picture is put on the page.
 *
 * The frontend places what is shown on classic nodes while it draws the graph. What comes to the page behind the last
 * drawing, as the player of a video does that was just saved, would cover the whole window until something moves.
 */

import { app } from "../../scripts/app.js"

const SHOWN = "video, img"

function isShown(added) {
  return added.nodeType === Node.ELEMENT_NODE && (added.matches(SHOWN) || added.querySelector(SHOWN) !== null)
}

app.registerExtension({
  name: "M3DDM.Redraw",
  setup() {
    new MutationObserver((changes) => {
      if (changes.some((change) => [...change.addedNodes].some(isShown))) app.canvas?.setDirty(true, true)
    }).observe(document.body, { childList: true, subtree: true })
  },
})
