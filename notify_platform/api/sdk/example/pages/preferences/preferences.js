/** @typedef {import("../../../notify").Preferences} Preferences */
/** @type {{notify: import("../../../notify").Notify}} */
var app = getApp();
var NIGHT = { from: "22:00", until: "08:00" };

Page({
  data: { templates: /** @type {Preferences["templates"]} */ ([]), quiet: false, note: "" },

  onShow: function () {
    app.notify.preferences(this.show.bind(this));
  },

  /** @param {import("../../../notify").Reply<Preferences>} reply what the platform holds, also after a change */
  show: function (reply) {
    if (!reply.ok) return this.setData({ note: "暂时无法读取设置，请稍后再试" });
    this.setData({ templates: reply.data.templates, quiet: reply.data.quiet_hours !== null, note: "" });
  },

  /** @param {WechatMiniprogram.SwitchChange} event */
  toggle: function (event) {
    var changed = event.currentTarget.dataset.id;
    var templates = this.data.templates;
    templates.forEach(function (template) {
      if (template.template_id === changed) template.muted = !event.detail.value;
    });
    // Noted here at once: the next switch may be touched before the platform has answered.
    this.setData({ templates: templates });
    var muted = templates.filter(isMuted).map(idOf);
    app.notify.setPreferences({ muted: muted }, this.show.bind(this));
  },

  /** @param {WechatMiniprogram.SwitchChange} event */
  toggleQuiet: function (event) {
    app.notify.setPreferences({ quiet_hours: event.detail.value ? NIGHT : null }, this.show.bind(this));
  },

  openSettings: function () {
    app.notify.openSettings();
  },
});

/** @param {Preferences["templates"][number]} template */
function isMuted(template) {
  return template.muted;
}

/** @param {Preferences["templates"][number]} template */
function idOf(template) {
  return template.template_id;
}
