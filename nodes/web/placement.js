/**
 * Where source, target and canvas lie: as much of `place` in m3ddm_core/canvas/placement.py as a drawing of them needs.
 *
 * What counts is the Python; a test holds this to it over a table of cases. Fractions are pairs of BigInts, so that
 * both round alike.
 */

const LATENT_SCALE = 8
const MAX_RATIO = 100n
/** Pixels along a side of the target, and in all of it: what m3ddm_core/canvas/limits.py takes. */
const MOST_SIDE = 16384
const MOST_AREA = 2 ** 27
const NUMBER = "\\d{1,9}(?:\\.\\d{0,9})?|\\.\\d{1,9}"
const RATIO = new RegExp(`^[ \\t\\r\\n\\f\\v]*(${NUMBER})[ \\t\\r\\n\\f\\v]*(?:[:/][ \\t\\r\\n\\f\\v]*(${NUMBER})[ \\t\\r\\n\\f\\v]*)?$`)

/** The share of the spare room, in halves, that goes to the source's left and above it. */
const ANCHORS = {
  center: [1, 1],
  left: [0, 1],
  right: [2, 1],
  top: [1, 0],
  bottom: [1, 2],
  "top left": [0, 0],
  "top right": [2, 0],
  "bottom left": [0, 2],
  "bottom right": [2, 2],
}

/**
 * @param {[number, number]} source width and height of the source in pixels
 * @param {object} asked the node's inputs by name
 * @returns {{target: [number, number], offset: [number, number], canvas: [number, number], problem: object | null}}
 *   Sizes are width and height, the offset is the source's top left corner in the target. Where Python would raise,
 *   `problem` names what is wrong (`key`, and the values that its text needs), and the rest is the nearest that can be
 *   drawn.
 */
export function place(source, asked) {
  const multiple = asked.size_multiple
  let target, offset
  let problem = null
  if (asked.target === "pixels") {
    const across = grow(source[0], asked.left, asked.right, multiple)
    const down = grow(source[1], asked.top, asked.bottom, multiple)
    target = [across.size, down.size]
    offset = [across.before, down.before]
  } else {
    const text = asked.target === "custom ratio" ? asked.custom_ratio : asked.target
    const ratio = parseRatio(text)
    if (!ratio) problem = { key: "bad_ratio", ratio: text }
    target = containing(source, ratio, multiple)
    const room = [target[0] - source[0], target[1] - source[1]]
    if (asked.anchor === "offset") {
      offset = [asked.offset_x, asked.offset_y].map((value, axis) => Math.min(Math.max(value, 0), room[axis]))
      const axis = asked.offset_x !== offset[0] ? 0 : 1
      const [name, value] = [["offset_x", asked.offset_x], ["offset_y", asked.offset_y]][axis]
      if (value !== offset[axis]) problem ??= { key: "outside", name, value, most: room[axis] }
    } else {
      offset = ANCHORS[asked.anchor].map((halves, axis) => Math.floor((room[axis] * halves) / 2))
    }
  }
  const [width, height] = target
  if (Math.max(width, height) > MOST_SIDE || width * height > MOST_AREA) problem ??= { key: "too_large", width, height, most: MOST_SIDE }
  if (asked.canvas_size % LATENT_SCALE) problem ??= { key: "bad_canvas", size: asked.canvas_size }
  if (target[0] === source[0] && target[1] === source[1]) problem ??= { key: "nothing" }
  return { target, offset, canvas: canvasSize(target, asked.canvas_size, asked.canvas_shape), problem }
}

/** Full-width digits and signs, as Chinese and Japanese keyboards have them, as plain ones: m3ddm_core/canvas/typed.py. */
function plain(text) {
  const half = (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xfee0)
  return text.replace(/[\uff01-\uff5e]/g, half).replaceAll("\u3000", " ")
}

/** The two parts of a ratio such as "16:9" as one fraction [numerator, denominator], or null if it is none. */
function parseRatio(text) {
  const match = RATIO.exec(plain(text))
  if (!match) return null
  const [wide, high] = [fraction(match[1]), fraction(match[2] ?? "1")]
  const [above, below] = [wide[0] * high[1], wide[1] * high[0]]
  if (!above || !below || above > MAX_RATIO * below || below > MAX_RATIO * above) return null
  return [above, below]
}

/** The shortest decimal that names the number, as a fraction: Python too reads a float in between. */
function fraction(text) {
  const [digits, exponent = "0"] = String(Number(text)).split("e")
  const [whole, part = ""] = digits.split(".")
  const power = Number(exponent) - part.length
  const value = BigInt(whole + part)
  return power < 0 ? [value, 10n ** BigInt(-power)] : [value * 10n ** BigInt(power), 1n]
}

/** The smallest frame of the ratio that contains the source, rounded; without a ratio, the source's own. */
function containing(source, ratio, multiple) {
  const [width, height] = source.map(BigInt)
  const [above, below] = ratio ?? [width, height]
  const wider = height * above > width * below
  return [
    wider ? roundSize(height * above, below, source[0], multiple) : roundSize(width, 1n, source[0], multiple),
    wider ? roundSize(height, 1n, source[1], multiple) : roundSize(width * below, above, source[1], multiple),
  ]
}

/** The nearest multiple of a fraction, halves up; the next one where that is less than the source. */
function roundSize(above, below, source, multiple) {
  const step = BigInt(multiple)
  const nearest = Number((2n * above + below * step) / (2n * below * step)) * multiple
  return nearest >= source ? nearest : Math.ceil(source / multiple) * multiple
}

/** One axis with pixels added before and after: what rounding adds goes to the sides that were asked for. */
function grow(source, before, after, multiple) {
  const size = roundSize(BigInt(source + before + after), 1n, source, multiple)
  const extra = size - source - before - after
  if (before && after) return { size, before: Math.min(Math.max(before + Math.floor(extra / 2), 0), size - source) }
  return { size, before: before ? before + extra : 0 }
}

function canvasSize(target, canvasSize, shape) {
  const longest = Math.max(...target)
  const side = Math.max(Math.floor(Math.min(canvasSize, longest) / LATENT_SCALE) * LATENT_SCALE, LATENT_SCALE)
  if (shape === "square") return [side, side]
  return target.map((size) => {
    const inner = Math.max(Math.floor((size * side) / longest + 0.5), 1)
    return Math.ceil(inner / LATENT_SCALE) * LATENT_SCALE
  })
}
