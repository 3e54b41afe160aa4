/** The drawing: the source inside the target, to scale, both to be taken with the mouse or moved with the arrow keys. */

import { app } from "../../scripts/app.js"
import { place } from "./placement.js"

const PLACEHOLDER = [1280, 720]
const MARGIN = 16
/** The share of the room that a target takes up whose sides can be pulled outward. */
const ROOM_TO_PULL = 0.7
const FAST = 10
/** Of finished frames in memory: m3ddm_core/canvas/limits.py. */
const BYTES_OF_A_PIXEL = 12

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
/** Each side of the target: which way is outward, the side across from it, and the axis. */
const SIDES = {
  left: { out: [-1, 0], other: "right", axis: 0 },
  top: { out: [0, -1], other: "bottom", axis: 1 },
  right: { out: [1, 0], other: "left", axis: 0 },
  bottom: { out: [0, 1], other: "top", axis: 1 },
}

const sum = ([x, y], [dx, dy]) => [x + dx, y + dy]
const clamp = (value, least, most) => Math.min(Math.max(value, least), most)
const name = ([width, height]) => `${width}×${height}`

export class PlacementView {
  /**
   * `node` is what the drawing knows of its node: `source` (size or null, picture or null), `asked()` (the inputs by
   * name), `wired()` (names of those that come over a wire), `label(name)`, `most(name)`, `write(values by name)` and
   * `text(key, values)`.
   */
  constructor(node) {
    this.node = node
    this.element = add(null, "m3ddm-placement")
    this.stage = add(this.element, "m3ddm-stage")
    this.target = add(this.stage, "m3ddm-target")
    this.source = add(this.stage, "m3ddm-source")
    this.source.setAttribute("role", "application")
    this.size = add(this.source, "m3ddm-size")
    this.edges = Object.keys(SIDES).map((side) => this.addEdge(side))
    this.facts = add(this.element, "m3ddm-facts")
    this.note = add(this.element, "m3ddm-note")
    this.note.setAttribute("role", "status")
    this.hold = null
    this.grip(this.source, (by, start) => this.moveTo(sum(start.offset, by)))
    this.source.addEventListener("dblclick", () => this.centre())
    this.leaveTheRestToTheGraph()
  }

  addEdge(side) {
    const edge = add(this.stage, `m3ddm-edge m3ddm-${side}`)
    edge.dataset.side = side
    edge.setAttribute("role", "slider")
    edge.setAttribute("aria-orientation", SIDES[side].axis ? "vertical" : "horizontal")
    edge.setAttribute("aria-valuemin", "0")
    this.grip(edge, (by, start) => this.pull(side, by, start))
    return edge
  }

  /** Draw what the inputs say now, unless that is what is drawn. */
  draw() {
    const { size, picture } = this.node.source
    const asked = this.node.asked()
    const wired = this.node.wired()
    const room = [this.stage.clientWidth, this.stage.clientHeight]
    const drawn = JSON.stringify([size, asked, wired, room, this.hold, picture?.src])
    if (drawn === this.drawn || !room[0]) return
    if (this.turnsToPixels(asked)) return this.takeOver()
    this.drawn = drawn
    this.asked = asked
    this.known = size ?? PLACEHOLDER
    this.placed = place(this.known, asked)
    this.locked = size === null || wired.length > 0
    this.view = this.hold ? this.holdView() : this.fit(room)
    this.layOut(picture)
    this.tell(size, wired)
  }

  /** Whether pixels on the sides were asked for just now, and none are given yet. */
  turnsToPixels(asked) {
    const turned = asked.target === "pixels" && this.asked && this.asked.target !== "pixels"
    return turned && !this.locked && Object.keys(SIDES).every((side) => asked[side] === 0)
  }

  /** Begin with the sides as they were drawn, rather than with nothing to be generated. */
  takeOver() {
    const { target, offset } = this.placed
    const [right, bottom] = target.map((side, axis) => side - this.known[axis] - offset[axis])
    this.asked = undefined
    this.write({ left: offset[0], top: offset[1], right, bottom })
  }

  /** Scale and upper left corner of the target that put it in the middle of the room. */
  fit(room) {
    const { target } = this.placed
    const share = this.asked.target === "pixels" ? ROOM_TO_PULL : 1
    const scale = Math.min(...target.map((side, axis) => Math.max(room[axis] - 2 * MARGIN, 1) / side)) * share
    return { scale, corner: target.map((side, axis) => (room[axis] - side * scale) / 2) }
  }

  /** While something is dragged the scale stays, and so does the place of what is not dragged. */
  holdView() {
    const { scale, corner } = this.hold.view
    if (!this.hold.side) return this.hold.view
    const moved = sum(this.placed.offset, this.hold.offset.map((one) => -one))
    return { scale, corner: sum(corner, moved.map((one) => -one * scale)) }
  }

  layOut(picture) {
    const { target, offset } = this.placed
    const { scale, corner } = this.view
    const [left, top] = corner
    const [width, height] = target.map((side) => side * scale)
    const shown = picture && !this.source.contains(picture)
    if (shown || !picture) this.source.querySelector("img, video")?.remove()
    if (shown) this.source.prepend(picture)
    put(this.target, left, top, width, height)
    put(this.source, ...sum(corner, offset.map((one) => one * scale)), ...this.known.map((side) => side * scale))
    for (const edge of this.edges) {
      const { axis, out } = SIDES[edge.dataset.side]
      edge.hidden = this.asked.target !== "pixels"
      if (axis) put(edge, left, top + (out[1] > 0 ? height : 0), width, 0)
      else put(edge, left + (out[0] > 0 ? width : 0), top, 0, height)
    }
  }

  tell(size, wired) {
    const { text, label } = this.node
    const { offset, result, canvas, problem } = this.placed
    this.size.textContent = size ? name(size) : "?"
    const facts = { target: name(result.target), source: name(result.source), canvas: name(canvas) }
    facts.latents = name(canvas.map((side) => side / 8))
    facts.memory = ((result.target[0] * result.target[1] * BYTES_OF_A_PIXEL) / 1e6).toFixed(1)
    this.facts.textContent = text(name(this.known) === facts.source ? "facts" : "facts_scaled", facts)
    let note = ""
    if (wired.length) note = text("wired", { name: wired.map(label).join(", ") })
    else if (!size) note = text("unknown")
    else if (problem) note = text(problem.key, { ...problem, name: problem.name && label(problem.name) })
    this.note.textContent = note
    this.element.classList.toggle("m3ddm-problem", !this.locked && problem !== null)
    this.element.classList.toggle("m3ddm-locked", this.locked)
    this.source.tabIndex = this.locked ? -1 : 0
    this.source.title = this.locked ? note : text("source_help")
    this.source.setAttribute("aria-label", text("source_label", { x: offset[0], y: offset[1] }))
    for (const edge of this.edges) {
      const { side } = edge.dataset
      edge.tabIndex = this.locked ? -1 : 0
      edge.title = this.locked ? note : text("edge_help")
      edge.setAttribute("aria-label", label(side))
      edge.setAttribute("aria-valuemax", this.node.most(side))
      edge.setAttribute("aria-valuenow", this.asked[side])
    }
  }

  /** Let a handle be dragged and moved by key: `move(by, start)` gets the way in source pixels, and what was at first. */
  grip(handle, move) {
    const { side } = handle.dataset
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.locked) return
      event.stopPropagation()
      handle.setPointerCapture(event.pointerId)
      // From here to the release is one step to undo.
      app.canvas.emitBeforeChange()
      const zoom = this.stage.getBoundingClientRect().width / this.stage.offsetWidth
      this.hold = { side, view: this.view, offset: this.placed.offset, asked: this.asked }
      const released = new AbortController()
      const on = (kind, react) => handle.addEventListener(kind, react, { signal: released.signal })
      on("pointermove", (now) => {
        const way = [now.clientX - event.clientX, now.clientY - event.clientY]
        move(way.map((pixels) => Math.round(pixels / zoom / this.view.scale)), this.hold)
      })
      on("lostpointercapture", () => {
        released.abort()
        this.hold = null
        this.draw()
        app.canvas.emitAfterChange()
      })
    })
    handle.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key]
      if (!arrow || this.locked || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      event.stopPropagation()
      const step = this.asked.size_multiple * (event.shiftKey ? FAST : 1)
      app.canvas.emitBeforeChange()
      move(arrow.map((one) => one * step), { offset: this.placed.offset, asked: this.asked })
      app.canvas.emitAfterChange()
    })
  }

  write(values) {
    this.node.write(values)
    this.draw()
  }

  /** Put the source's corner there, as near as the target allows. */
  moveTo(corner) {
    const spare = this.placed.target.map((side, axis) => side - this.known[axis])
    const [x, y] = corner.map((one, axis) => clamp(one, 0, spare[axis]))
    if (this.asked.target === "pixels") this.write({ left: x, top: y, right: spare[0] - x, bottom: spare[1] - y })
    else this.write({ anchor: "offset", offset_x: x, offset_y: y })
  }

  centre() {
    if (this.locked) return
    if (this.asked.target !== "pixels") return this.write({ anchor: "center" })
    this.moveTo(this.placed.target.map((side, axis) => Math.floor((side - this.known[axis]) / 2)))
  }

  /** Pull a side of the target so that the whole is a multiple of size_multiple, as it will be made. */
  pull(side, by, start) {
    const { out, other, axis } = SIDES[side]
    const rest = this.known[axis] + start.asked[other]
    const wanted = rest + Math.max(start.asked[side] + by[0] * out[0] + by[1] * out[1], 0)
    const multiple = start.asked.size_multiple
    this.write({ [side]: clamp(Math.round(wanted / multiple) * multiple - rest, 0, this.node.most(side)) })
  }

  /** The wheel zooms and the middle button pans, as they do beside the drawing. */
  leaveTheRestToTheGraph() {
    const { element } = this
    const pass = (kind, when, how) =>
      element.addEventListener(kind, (event) => {
        if (!window.LiteGraph.vueNodesMode && when(event)) app.canvas[how](event)
      })
    pass("wheel", () => true, "processMouseWheel")
    pass("pointerdown", (event) => event.button === 1, "processMouseDown")
    pass("pointermove", (event) => event.buttons & 4, "processMouseMove")
    pass("pointerup", (event) => event.button === 1, "processMouseUp")
  }
}

function add(parent, classes) {
  const element = document.createElement("div")
  element.className = classes
  parent?.append(element)
  return element
}

function put(element, left, top, width, height) {
  Object.assign(element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` })
}
