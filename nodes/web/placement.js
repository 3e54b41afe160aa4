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
/** Of the short side, where nothing else is asked for, and the binary digits of a root: m3ddm_core/canvas/result_size.py. */
const MOST_BY_ITSELF = 1080
const ROOT_BITS = 24n
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
 * @returns {{target: [number, number], offset: [number, number], result: object, canvas: [number, number],
 *   problem: object | null}}
 *   Sizes are width and height, the offset is the source's top left corner in the target, all in the source's own
 *   pixels; `result` has `source`, `target` and `offset` as they are once the result has the size that is asked for.
 *   Where Python would raise, `problem` names what is wrong (`key`, and the values that its text needs), and the rest is
 *   the nearest that can be drawn.
 */
export function place(source, asked) {
  const multiple = asked.size_multiple
  let exact, target, offset
  let problem = null
  if (asked.target === "pixels") {
    const across = grow(source[0], asked.left, asked.right, multiple)
    const down = grow(source[1], asked.top, asked.bottom, multiple)
    target = [across.size, down.size]
    offset = [across.before, down.before]
    const added = [asked.left + asked.right, asked.top + asked.bottom]
    exact = source.map((side, axis) => [BigInt(side + added[axis]), 1n])
  } else {
    const text = asked.target === "custom ratio" ? asked.custom_ratio : asked.target
    const ratio = parseRatio(text)
    if (!ratio) problem = { key: "bad_ratio", ratio: text }
    exact = containing(source, ratio)
    target = exact.map(([above, below], axis) => roundSize(above, below, source[axis], multiple))
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
  const result = scale({ source, target, offset }, exact, asked)
  const [width, height] = result.target
  if (Math.max(width, height) > MOST_SIDE || width * height > MOST_AREA) problem ??= { key: "too_large", width, height, most: MOST_SIDE }
  if (asked.canvas_size % LATENT_SCALE) problem ??= { key: "bad_canvas", size: asked.canvas_size }
  if (width === result.source[0] && height === result.source[1]) problem ??= { key: "nothing" }
  return { target, offset, result, canvas: canvasSize(result.target, asked.canvas_size, asked.canvas_shape), problem }
}

/** Source, target and offset at the size that the result is to have; `exact` is the target before it was rounded. */
function scale(placed, exact, asked) {
  const [above, below] = factor(placed.source, exact, asked)
  if (above === below) return placed
  const multiple = BigInt(asked.size_multiple)
  const sides = placed.source.map((side, axis) => {
    const [whole, part] = exact[axis]
    const long = Number(atLeastOne(round(whole * above, part * below * multiple)) * multiple)
    const kept = whole === BigInt(side) * part
    const inner = kept ? long : Math.min(Number(atLeastOne(round(BigInt(side) * above, below))), long)
    const room = placed.target[axis] - side
    const before = room ? Number(round(BigInt((long - inner) * placed.offset[axis]), BigInt(room))) : 0
    return { inner, long, before }
  })
  return { source: sides.map((one) => one.inner), target: sides.map((one) => one.long), offset: sides.map((one) => one.before) }
}

/** By how much source and target are scaled, as a fraction: `ResultSize.factor` in m3ddm_core/canvas/result_size.py. */
function factor(source, exact, asked) {
  const [width, height] = exact
  const [short, long] = width[0] * height[1] < height[0] * width[1] ? [width, height] : [height, width]
  const own = Math.min(...source)
  const over = (pixels, [above, below]) => [BigInt(pixels) * below, above]
  switch (asked.result_size) {
    case "automatic":
      return over(Math.min(own, MOST_BY_ITSELF), asked.target === "pixels" ? [BigInt(own), 1n] : short)
    case "short side":
      return over(asked.result_pixels, short)
    case "height":
      return over(asked.result_pixels, height)
    case "longest side":
      return over(asked.result_pixels, long)
    case "megapixels": {
      const wanted = BigInt(Math.round(asked.result_megapixels * 100)) * 10000n
      const bits = 4n ** ROOT_BITS
      return [root((wanted * width[1] * height[1] * bits) / (width[0] * height[0])), 2n ** ROOT_BITS]
    }
    default:
      return [1n, 1n]
  }
}

/** The whole part of a square root, by Newton's steps from above. */
function root(value) {
  let guess = 1n << BigInt(Math.ceil(value.toString(2).length / 2))
  for (;;) {
    const next = (guess + value / guess) / 2n
    if (next >= guess) return guess
    guess = next
  }
}

/** The nearest whole number to a fraction, halves up. */
function round(above, below) {
  return (2n * above + below) / (2n * below)
}

function atLeastOne(value) {
  return value < 1n ? 1n : value
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

/** The smallest frame of the ratio that contains the source, its sides as fractions; without a ratio, the source's own. */
function containing(source, ratio) {
  const [width, height] = source.map(BigInt)
  const [above, below] = ratio ?? [width, height]
  const wider = height * above > width * below
  return wider ? [[height * above, below], [height, 1n]] : [[width, 1n], [width * below, above]]
}

/** The nearest multiple of a fraction, halves up; the next one where that is less than the source. */
function roundSize(above, below, source, multiple) {
  const step = BigInt(multiple)
  const nearest = Number(round(above, below * step)) * multiple
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
