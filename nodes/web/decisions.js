/** A board's JSON as the rows write it: m3ddm_core/video/board.py reads it, and says what is wrong with it. */

/** Left, middle or right, and top, middle or bottom, as shares of the spare room. */
const share = (name, low, high) => (name.includes(low) ? 0 : name.includes(high) ? 1 : 0.5)

export class Decisions {
  /** @param {string} text the JSON, or nothing. */
  constructor(text) {
    this.board = parsed(text)
    /** Whether the rows may write: what they cannot read whole is left to whoever wrote it. */
    this.isReadable = this.board !== null
  }

  /** What is decided for the scene that begins at a frame. */
  of(first) {
    return this.board?.scenes?.find((entry) => entry.first === first) ?? {}
  }

  /** Where the source lies in the spare room: two shares, or null where it is as for the whole video. */
  shares(first, room) {
    const { anchor, offset } = this.of(first)
    if (offset) return offset.map((pixels, axis) => (room[axis] ? pixels / room[axis] : 0))
    if (typeof anchor === "string") return [share(anchor, "left", "right"), share(anchor, "top", "bottom")]
    return anchor ?? null
  }

  /** The JSON once something was decided for a scene; undefined takes a decision back. */
  with(first, changes) {
    const others = (this.board.scenes ?? []).filter((entry) => entry.first !== first)
    const entry = Object.fromEntries(
      Object.entries({ first, ...this.of(first), ...changes }).filter(([, value]) => value !== undefined),
    )
    const scenes = [...others, entry].filter((one) => Object.keys(one).length > 1).sort((a, b) => a.first - b.first)
    const lines = scenes.map((one) => `  ${JSON.stringify(one)}`).join(",\n")
    const cuts = this.board.cuts ? `"cuts": ${JSON.stringify(this.board.cuts)},\n ` : ""
    return cuts || scenes.length ? `{${cuts}"scenes": [\n${lines}\n ]}` : ""
  }
}

function parsed(text) {
  if (!text.trim()) return {}
  try {
    const board = JSON.parse(text)
    const scenes = board.scenes ?? []
    const isWhole = Array.isArray(scenes) && scenes.every((entry) => typeof entry?.first === "number" && isExact(entry))
    return isWhole ? board : null
  } catch {
    return null
  }
}

/** Seeds go further than JavaScript's numbers are exact: those are not to be rounded behind anybody's back. */
function isExact({ seed }) {
  return seed === undefined || Number.isSafeInteger(seed)
}
