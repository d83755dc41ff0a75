"use strict";

// In a file of its own, so that the page needs no inline script.
const place = document.getElementById("contract");
window.SwaggerUIBundle({ url: place.dataset.schema, domNode: place, deepLinking: true });
