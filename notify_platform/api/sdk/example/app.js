// In your own project the client stands beside app.js: require("./notify.js").
var createNotify = require("../notify.js").createNotify;

App({
  notify: createNotify({ baseUrl: "https://notify.example.com", appId: "wx0123456789abcdef" }),

  onLaunch: function (options) {
    this.notify.visit(options.path, options.query.nk);
    this.notify.reportSettings();
  },

  // Also when the mini-program comes back from the background, perhaps by another card; each card counts once.
  onShow: function (options) {
    this.notify.opened(options);
  },
});
