/** Lists the pack's templates by name: the server gives a folder in the file system's order, which may be any. */

import { api } from "../../scripts/api.js"

const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/").at(-2))

const listed = api.getWorkflowTemplates
// A frontend that lists its templates another way keeps its own order.
if (listed) {
  api.getWorkflowTemplates = async function () {
    const templates = await listed.apply(this, arguments)
    templates?.[PACK]?.sort?.()
    return templates
  }
}
