/** The rows: of each scene its place in the target, some pictures, its seed, and whether it is left as it is. */

import { api } from "../../scripts/api.js"

const STAGE = [112, 63]
const NEW_SEEDS = 2 ** 32
const STEP = 0.05
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

const clamp = (value) => Math.min(Math.max(value, 0), 1)
const rounded = (shares) => shares.map((one) => Math.round(clamp(one) * 1000) / 1000)

export class SceneRows {
  /**
   * `node` is what the rows know of their node: `listed()` (what the last run said, or nothing), `decisions()`,
   * `placed(size)` (source and target), `locked()`, `write(text)` and `text(key, values)`.
   */
  constructor(node) {
    this.node = node
    this.element = add(null, "div", "m3ddm-board")
    this.note = add(this.element, "div", "m3ddm-note")
    this.note.setAttribute("role", "status")
    this.list = add(add(this.element, "div", "m3ddm-scenes-room"), "div", "m3ddm-scenes")
    this.list.setAttribute("role", "list")
    // In modern nodes the wheel goes to what has the focus and says so.
    this.list.dataset.captureWheel = "true"
    this.list.tabIndex = -1
    this.list.addEventListener("wheel", (event) => event.stopPropagation(), { passive: true })
    this.element.addEventListener("pointerdown", (event) => event.button === 0 && event.stopPropagation())
    this.ran = null
    this.held = false
  }

  /** The node ran. */
  executed(output) {
    if (output?.scenes) this.ran = output
  }

  /** Draw what was listed and decided, unless that is what is drawn. */
  draw() {
    const listed = this.ran ?? this.node.listed()
    if (!listed?.scenes) return this.tell(this.node.text("unknown"))
    const decisions = this.node.decisions()
    const locked = this.node.locked() || !decisions.isReadable
    const { target, offset } = this.node.placed(listed.source_size)
    const drawn = JSON.stringify([listed.strip, listed.scenes, decisions.board, locked, target, offset])
    if (drawn === this.drawn || this.held) return
    this.drawn = drawn
    this.decisions = decisions
    this.source = listed.source_size
    this.target = target
    this.usual = offset
    this.room = target.map((side, axis) => side - this.source[axis])
    this.locked = locked
    this.tell(this.node.locked() ? this.node.text("wired") : decisions.isReadable ? "" : this.node.text("unreadable"))
    if (JSON.stringify([listed.strip, listed.scenes]) !== this.built) this.build(listed)
    this.rows.forEach((row) => this.fill(row))
  }

  tell(note) {
    if (this.note.textContent !== note) this.note.textContent = note
  }

  build({ scenes, strip, tile }) {
    this.built = JSON.stringify([strip, scenes])
    const url = api.apiURL(`/view?${new URLSearchParams(strip[0])}`)
    this.list.replaceChildren()
    this.rows = scenes.map(([first, frames, start, seconds], number) => {
      const row = { first, element: add(this.list, "div", "m3ddm-scene") }
      row.element.setAttribute("role", "listitem")
      row.element.dataset.first = first
      row.stage = add(row.element, "div", "m3ddm-scene-stage")
      row.source = add(row.stage, "div", "m3ddm-scene-source")
      const picture = (holder, place) => showTile(holder, url, tile, number, place)
      picture(row.source, 2)
      const about = add(row.element, "div", "m3ddm-scene-about")
      const name = add(about, "div", "m3ddm-scene-name")
      name.textContent = this.node.text("scene", { number: number + 1, first, frames, start: clock(start), seconds: seconds.toFixed(2) })
      name.title = name.textContent
      const film = add(about, "div", "m3ddm-scene-film")
      for (const place of [0, 2, 4]) picture(add(film, "div", "m3ddm-scene-tile"), place)
      const inputs = add(about, "div", "m3ddm-scene-inputs")
      this.addSeed(row, inputs)
      this.addLeave(row, inputs)
      this.addGrip(row)
      return row
    })
  }

  addSeed(row, parent) {
    row.seed = add(parent, "input", "m3ddm-scene-seed")
    Object.assign(row.seed, { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 })
    row.seed.placeholder = this.node.text("seed")
    row.seed.title = this.node.text("seed_help")
    row.seed.setAttribute("aria-label", this.node.text("seed"))
    row.seed.addEventListener("keydown", (event) => event.stopPropagation())
    row.seed.addEventListener("change", () => {
      const seed = row.seed.value === "" ? undefined : Number(row.seed.value)
      if (seed === undefined || (Number.isSafeInteger(seed) && seed >= 0)) this.decide(row, { seed })
      else this.fill(row)
    })
    row.again = add(parent, "button", "m3ddm-scene-again")
    row.again.textContent = this.node.text("again")
    row.again.title = this.node.text("again_help")
    row.again.addEventListener("click", () => this.decide(row, { seed: Math.floor(Math.random() * NEW_SEEDS) }))
  }

  addLeave(row, parent) {
    const label = add(parent, "label", "m3ddm-scene-leave")
    row.leave = add(label, "input", "")
    row.leave.type = "checkbox"
    label.append(this.node.text("leave"))
    label.title = this.node.text("leave_help")
    row.leave.addEventListener("change", () => this.decide(row, { leave: row.leave.checked || undefined }))
  }

  /** The source is dragged in its target, moved by the arrow keys, and put back by a double click. */
  addGrip(row) {
    const { source } = row
    source.setAttribute("role", "application")
    source.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.locked) return
      source.setPointerCapture(event.pointerId)
      this.held = true
      const zoom = (row.stage.getBoundingClientRect().width / row.stage.offsetWidth) * this.scale
      const start = this.shares(row)
      let shares = null
      const released = new AbortController()
      const on = (kind, react) => source.addEventListener(kind, react, { signal: released.signal })
      on("pointermove", (now) => {
        const way = [now.clientX - event.clientX, now.clientY - event.clientY]
        shares = rounded(start.map((one, axis) => (this.room[axis] ? one + way[axis] / zoom / this.room[axis] : one)))
        this.putSource(row, shares)
      })
      on("lostpointercapture", () => {
        released.abort()
        this.held = false
        if (shares) this.decide(row, { anchor: shares, offset: undefined })
      })
    })
    source.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key]
      if (!arrow || this.locked || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      event.stopPropagation()
      const shares = rounded(this.shares(row).map((one, axis) => one + STEP * arrow[axis]))
      this.decide(row, { anchor: shares, offset: undefined })
    })
    source.addEventListener("dblclick", () => {
      if (!this.locked) this.decide(row, { anchor: undefined, offset: undefined })
    })
  }

  decide(row, changes) {
    if (this.locked) return
    this.node.write(this.decisions.with(row.first, changes))
    this.draw()
  }

  /** Where a scene's source lies, as shares of the spare room. */
  shares(row) {
    const usual = this.usual.map((one, axis) => (this.room[axis] ? one / this.room[axis] : 0.5))
    return this.decisions.shares(row.first, this.room) ?? usual
  }

  get scale() {
    return Math.min(...this.target.map((side, axis) => STAGE[axis] / side))
  }

  fill(row) {
    const { seed, leave, anchor, offset, guides } = this.decisions.of(row.first)
    row.seed.value = seed ?? ""
    row.leave.checked = leave === true
    for (const input of [row.seed, row.again, row.leave]) input.disabled = this.locked
    row.seed.disabled ||= leave === true
    row.again.disabled ||= leave === true
    row.element.classList.toggle("m3ddm-left-alone", leave === true)
    row.element.classList.toggle("m3ddm-decided", [seed, leave, anchor, offset, guides].some((one) => one !== undefined))
    const [width, height] = this.target.map((side) => side * this.scale)
    Object.assign(row.stage.style, { width: `${width}px`, height: `${height}px` })
    const shares = this.shares(row)
    row.source.tabIndex = this.locked ? -1 : 0
    row.source.title = this.locked ? this.note.textContent : this.node.text("place_help")
    const [x, y] = shares.map((one) => Math.round(100 * one))
    row.source.setAttribute("aria-label", this.node.text("place", { x, y }))
    this.putSource(row, shares)
  }

  putSource(row, shares) {
    const [left, top] = shares.map((one, axis) => one * this.room[axis] * this.scale)
    const [width, height] = this.source.map((side) => side * this.scale)
    Object.assign(row.source.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` })
  }
}

/** One picture out of the strip, as large as its holder; pictures stand at the right, behind the numbers. */
function showTile(holder, url, [width, height, gap], row, place) {
  const whole = add(holder, "img", "")
  whole.alt = ""
  whole.draggable = false
  holder.style.setProperty("--ratio", width / height)
  whole.addEventListener("load", () => {
    const gutter = whole.naturalWidth - 5 * (width + gap)
    const left = gutter + place * (width + gap)
    const top = row * (height + gap)
    Object.assign(whole.style, {
      width: `${(100 * whole.naturalWidth) / width}%`,
      height: `${(100 * whole.naturalHeight) / height}%`,
      left: `${(-100 * left) / width}%`,
      top: `${(-100 * top) / height}%`,
    })
  }, { once: true })
  whole.src = url
}

function clock(seconds) {
  const [minutes, rest] = [Math.floor(seconds / 60), (seconds % 60).toFixed(2).padStart(5, "0")]
  return `${minutes}:${rest}`
}

function add(parent, tag, classes) {
  const element = document.createElement(tag)
  element.className = classes
  parent?.append(element)
  return element
}
