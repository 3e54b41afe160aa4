/** What an input means in a workflow file from before it came, where that is not what new nodes have for it. */

import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "m3ddm.if_absent",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const inputs = Object.entries({ ...nodeData.input?.required, ...nodeData.input?.optional })
    const meant = inputs.filter(([, spec]) => spec[1]?.if_absent !== undefined)
    if (!meant.length) return
    const configured = nodeType.prototype.onConfigure
    nodeType.prototype.onConfigure = function (saved) {
      const answer = configured?.apply(this, arguments)
      for (const [name, spec] of meant) {
        // Values are saved by place: a list too short to reach an input is from before it.
        const place = this.widgets.findIndex((widget) => widget.name === name)
        if (saved.widgets_values && place >= saved.widgets_values.length) this.widgets[place].value = spec[1].if_absent
      }
      return answer
    }
  },
})
