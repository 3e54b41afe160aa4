/** What the pack's own parts of a node have in common: how they get into it, and how they stay true to it. */

// Nothing tells of a value that another extension or a wire sets, or of a file chosen further up: it is looked for.
const LOOK_EVERY_MS = 200

/** Call `next` after whatever the node does already on this occasion. */
export function also(node, occasion, next) {
  const before = node[occasion]
  node[occasion] = function (...values) {
    const answer = before?.apply(this, values)
    next(...values)
    return answer
  }
}

/**
 * Call `look` again and again while the node is in a graph. Not at once: a node comes into a graph before it has the values
 * that a file, or an undo, gives it.
 */
export function keepLooking(node, look) {
  let timer
  also(node, "onAdded", () => {
    timer ??= setInterval(look, LOOK_EVERY_MS)
  })
  also(node, "onRemoved", () => {
    clearInterval(timer)
    timer = undefined
  })
}

/** Put an element of the page under a node's widgets, in no file and no prompt, `least` to `most` pixels high. */
export function addElement(node, name, type, element, { least, most, ...options }) {
  const room = { getMinHeight: () => least, getMaxHeight: () => most, ...options }
  const widget = node.addDOMWidget(name, type, element, { serialize: false, hideOnZoom: false, ...room })
  // The option keeps it out of the prompt, this out of the workflow file.
  widget.serialize = false
  return widget
}

/** Have the page take up a style sheet of this folder. */
export function addStyles(name) {
  const style = document.createElement("link")
  style.rel = "stylesheet"
  style.href = new URL(name, import.meta.url).href
  document.head.append(style)
}
