/** @type {{notify: import("../../../notify").Notify}} */
var app = getApp();

Page({
  data: { words: "", note: "", booked: false, canAsk: false },

  onLoad: function (options) {
    // The card of a booking leads here; opened() counts it once, even if app.js has seen it too.
    app.notify.opened(options);
  },

  onShow: function () {
    var page = this;
    app.notify.prefetch("booked", function (reply) {
      if (reply.ok) page.setData({ words: reply.data.words, canAsk: reply.data.template_ids.length > 0 });
    });
  },

  book: function () {
    this.setData({ booked: true, note: "预约成功" });
  },

  // A button of its own, after the booking stands: who does not want a reminder does not press it.
  remind: function () {
    var page = this;
    app.notify.ask("booked").then(function (reply) {
      page.setData({ note: noteOf(reply), canAsk: false });
    });
  },
});

/** @param {import("../../../notify").Reply<import("../../../notify").Outcome>} reply */
function noteOf(reply) {
  if (!reply.ok || !reply.data.asked) return "这次没能打开订阅窗口";
  var results = reply.data.results;
  var agreed = Object.keys(results).some(function (id) {
    return results[id].indexOf("accept") === 0;
  });
  return agreed ? "开始前会提醒您" : "好的，不打扰您";
}
