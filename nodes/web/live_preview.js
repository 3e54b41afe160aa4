/** Plays the clip that a node is sampling: its previews are sheets of 16 frames, which are shown one at a time. */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

const SAMPLERS = new Set([
  "M3DDM_SampleKeyframes", "M3DDM_SampleInterpolation", "M3DDM_SampleInfill", "M3DDM_OutpaintVideo",
])
// A clip has 16 frames, always; nodes/progress.py lays them out in these rows and columns, all of one size.
const ROWS = 4
const COLUMNS = 4
const FRAME_MS = 125
// Longest side of a frame: that of ComfyUI's own previews, which nodes make smaller to fit in, but never larger.
const SIDE = 512
const PREVIEW = "b_preview_with_metadata"

const players = new Map()

/** The node of an execution id: "3", or "5:3" for node 3 in the subgraph that is node 5. */
function nodeOf(executionId) {
  const path = String(executionId).split(":")
  const inner = path.pop()
  const graph = path.reduce((outer, id) => outer?.getNodeById(id)?.subgraph, app.rootGraph)
  return graph?.getNodeById(inner)
}

/** One frame of a sheet as a picture file. */
async function cutOut(sheet, number) {
  const width = sheet.width / COLUMNS
  const height = sheet.height / ROWS
  const scale = SIDE / Math.max(width, height)
  // Cut before it is scaled: else a frame would take in something of its neighbours along its edges.
  const frame = await createImageBitmap(
    sheet, (number % COLUMNS) * width, Math.floor(number / COLUMNS) * height, width, height,
    { resizeWidth: Math.round(width * scale), resizeHeight: Math.round(height * scale), resizeQuality: "high" },
  )
  const canvas = new OffscreenCanvas(frame.width, frame.height)
  canvas.getContext("2d").drawImage(frame, 0, 0)
  frame.close()
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 })
}

/**
 * Shows the frames of a node's newest sheet in a loop, until the node has finished.
 *
 * Each frame is handed to the frontend as if it had come from the server. So the frontend draws it where it draws
 * previews, in classic and in modern nodes and wherever else it shows them, and gives its address back.
 */
class Player {
  running = true
  number = 0

  constructor(id, node) {
    this.id = id
    this.node = node
    players.set(id, this)
  }

  finish() {
    this.running = false
    if (players.get(this.id) === this) players.delete(this.id)
  }

  async play() {
    // Where sheets come faster than frames are shown, all but the newest are passed over. The last is always shown.
    while (this.running || this.shown !== this.newest) {
      const due = performance.now() + FRAME_MS
      await this.show(this.newest)
      if (this.running) await new Promise((done) => setTimeout(done, due - performance.now()))
    }
    this.sheet?.close()
  }

  async show(preview) {
    let picture = preview.blob
    try {
      if (this.shown !== preview) {
        this.shown = preview
        this.sheet?.close()
        this.sheet = await createImageBitmap(preview.blob)
        this.frames = []
      }
      picture = this.frames[this.number] ??= await cutOut(this.sheet, this.number)
    } catch (error) {
      console.warn("M3DDM: a preview is shown as it came, for it cannot be played:", error)
      this.finish()
    }
    // Its node may have been removed, or another workflow opened in which something else has its number.
    if (nodeOf(this.id) !== this.node) return this.finish()
    // A job that may have ended is not named: what is kept for a job is given back when it ends.
    const jobId = this.running ? preview.jobId : undefined
    api.dispatchCustomEvent(PREVIEW, { ...preview, blob: picture, jobId, frame: this.number })
    this.number = (this.number + 1) % (ROWS * COLUMNS)
    app.canvas.setDirty(true)
  }
}

/** Keep a sheet from being shown as it is, and play it instead. */
function take(event) {
  const preview = event.detail
  if (preview.frame !== undefined) return
  const node = nodeOf(preview.displayNodeId)
  if (!SAMPLERS.has(node?.constructor.comfyClass)) return
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    // Classic nodes look for their preview when the graph is drawn.
    app.canvas.setDirty(true)
    return
  }
  event.stopImmediatePropagation()
  let player = players.get(preview.displayNodeId)
  if (player?.node === node) {
    player.newest = preview
    return
  }
  player?.finish()
  player = new Player(preview.displayNodeId, node)
  player.newest = preview
  player.play()
}

// Extensions are loaded before the frontend itself begins to listen: what is stopped here does not reach it.
api.addEventListener(PREVIEW, take)
api.addEventListener("progress_state", ({ detail }) => {
  for (const player of [...players.values()]) {
    const { jobId, nodeId } = player.newest
    if (jobId === detail.prompt_id && detail.nodes[nodeId]?.state !== "running") player.finish()
  }
})
for (const end of ["execution_success", "execution_error", "execution_interrupted", "reconnecting"]) {
  api.addEventListener(end, () => {
    for (const player of [...players.values()]) player.finish()
  })
}
