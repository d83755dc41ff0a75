/** @type {{notify: import("../../../notify").Notify}} */
var app = getApp();

Page({
  data: { words: "", note: "", ordered: false, offerSettings: false },

  onShow: function () {
    var page = this;
    // Ahead of the tap: inside it there is no time to ask a server.
    app.notify.prefetch("order-paid", function (reply) {
      if (reply.ok && reply.data.template_ids.length) page.setData({ words: reply.data.words });
    });
  },

  order: function () {
    var page = this;
    app.notify.ask("order-paid", function (reply) {
      page.setData({ offerSettings: reply.ok && reply.data.offerSettings });
    });
    // Whatever is answered, the order is placed, and nobody gets anything for a yes.
    this.place();
  },

  place: function () {
    this.setData({ ordered: true, note: "订单已提交" });
    app.notify.convert("order", { value: 29.9 });
  },

  openSettings: function () {
    var page = this;
    app.notify.openSettings(function (reply) {
      if (reply.ok) page.setData({ offerSettings: !reply.data.main_switch });
    });
  },
});
