/** The pack's own texts, `m3ddm` in locales/<language>/main.json. */

import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

/** One part of them in the language of the frontend, English where it has none. */
export async function loadTexts(part) {
  const all = await api.getCustomNodesI18n()
  const own = all[app.extensionManager.setting.get("Comfy.Locale")]
  return { ...all.en?.m3ddm?.[part], ...own?.m3ddm?.[part] }
}

/** The text of a key, each `{name}` in it replaced by the value of that name; the key where there is no text. */
export function say(texts, key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name])
}
