/** What arrives at a node's input, as far as the browser can know: its size, and a picture of it. */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

/** Nodes that give frames of the size they get, and the input they get them by. */
const PASSING = { M3DDM_VideoFrames: "video", GetVideoComponents: "video", "Video Slice": "video", ImageFromBatch: "image", Reroute: "" }
/** The names of files that a browser can show, by the element that shows them; the kind of folder may stand behind. */
const FILES = {
  img: /\.(png|jpe?g|webp|gif|bmp|avif)( \[\w+\])?$/is,
  video: /\.(mp4|m4v|mov|webm|mkv|ogv)( \[\w+\])?$/is,
}
/** Widgets by which loaders, such as VideoHelperSuite's, give another size than the file's; at 0 they do not. */
const RESIZING = /width|height|size/

export class Source {
  /**
   * @param node the node that asks
   * @param {string} input the name of its input
   */
  constructor(node, input) {
    this.node = node
    this.input = input
    this.came = undefined
    this.ran = null
    this.loaded = null
    /** An `img` or `video` element, or null. */
    this.picture = null
  }

  /** [width, height] in pixels, or null: as the last run said, else as the file says. */
  get size() {
    return this.ran ?? this.loaded ?? app.nodeOutputs?.[this.node.id]?.source_size ?? null
  }

  /** The node ran; what it said holds until something else is connected or chosen. */
  executed(output) {
    if (output?.source_size) this.ran = output.source_size
  }

  /** See whether the input comes from elsewhere than before. */
  look() {
    const { came, file } = trace(this.node, this.input)
    if (came === this.came) return
    this.came = came
    this.ran = this.loaded = this.picture = null
    if (file) this.load(came, ...file)
  }

  load(came, url, tag) {
    const picture = document.createElement(tag)
    const done = () => {
      if (came !== this.came) return
      this.loaded = tag === "img" ? [picture.naturalWidth, picture.naturalHeight] : [picture.videoWidth, picture.videoHeight]
      this.picture = picture
    }
    // A file that the browser cannot read stays unknown until the first run.
    picture.addEventListener(tag === "img" ? "load" : "loadedmetadata", done, { once: true })
    picture.muted = true
    picture.preload = "metadata"
    picture.src = url
  }
}

/** Where an input comes from: `came` changes with it; `file`, where a file is behind it, is [url, tag to show it]. */
function trace(node, input) {
  const slot = node.inputs.findIndex((one) => one.name === input)
  const link = node.inputs[slot]?.link
  if (link == null) return { came: "" }
  const origin = node.getInputNode(slot)
  if (origin && origin.type in PASSING) return trace(origin, PASSING[origin.type])
  const [value, tag] = loaded(origin)
  if (!value) return { came: `link ${link}` }
  const url = fileUrl(value)
  return { came: url, file: [url, tag] }
}

/** The file that a node loads, one of a list, and the element that can show it; [] where it does something else too. */
function loaded(node) {
  const widgets = node?.widgets ?? []
  if (node?.inputs?.some((slot) => slot.link != null)) return []
  if (widgets.some(({ name, value }) => RESIZING.test(name) && value && value !== "Disabled")) return []
  for (const { value, options } of widgets) {
    const listed = typeof value === "string" && options?.values !== undefined
    const tag = listed && Object.keys(FILES).find((tag) => FILES[tag].test(value))
    if (tag) return [value, tag]
  }
  return []
}

/**
 * The address of a loader's file: "folder/name.png", or with the kind of folder behind it, "name.png [output]". A name may
 * hold anything, line breaks too.
 */
function fileUrl(value) {
  const [, path, type = "input"] = /^(.*?)(?: \[(\w+)\])?$/s.exec(value)
  const cut = path.lastIndexOf("/")
  const query = new URLSearchParams({ filename: path.slice(cut + 1), subfolder: path.slice(0, Math.max(cut, 0)), type })
  return api.apiURL(`/view?${query}`)
}
