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
    var muted = this.data.templates
      .filter(function (template) {
        return template.template_id === changed ? !event.detail.value : template.muted;
      })
      .map(function (template) {
        return template.template_id;
      });
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
