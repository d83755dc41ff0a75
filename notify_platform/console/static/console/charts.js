"use strict";

// Draws the charts of the desk. A help for the eye: every number also stands in a table of the page.
(() => {
  if (!window.echarts) return;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function series(data) {
    const bars = data.bars.map((bar) => ({
      type: "bar",
      stack: "all",
      data: bar.values,
      itemStyle: { color: colour(`--desk-${bar.tone}`) },
    }));
    if (!data.line) return bars;
    const line = { type: "line", data: data.line.values, symbolSize: 5, yAxisIndex: 1 };
    return [...bars, { ...line, itemStyle: { color: colour(`--desk-${data.line.tone}`) } }];
  }

  function axis() {
    return {
      type: "value",
      minInterval: 1,
      axisLabel: { color: colour("--desk-pale"), formatter: (value) => value.toLocaleString("en") },
      splitLine: { lineStyle: { color: colour("--desk-line") } },
    };
  }

  function option(data) {
    return {
      animation: false,
      grid: { left: 8, right: 8, top: 16, bottom: 8, containLabel: true },
      xAxis: {
        type: "category",
        data: data.days,
        axisLabel: { color: colour("--desk-pale"), hideOverlap: true },
        axisLine: { lineStyle: { color: colour("--desk-line") } },
        axisTick: { show: false },
      },
      yAxis: data.line ? [axis(), { ...axis(), splitLine: { show: false } }] : axis(),
      series: series(data),
    };
  }

  function draw(holder) {
    const data = JSON.parse(document.getElementById(holder.dataset.chart).textContent);
    const chart = window.echarts.getInstanceByDom(holder) || window.echarts.init(holder);
    chart.setOption(option(data), true);
    chart.resize();
  }

  const drawn = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || drawn.has(entry.target)) continue;
      drawn.add(entry.target);
      draw(entry.target);
    }
  });
  const again = () => drawn.forEach((holder) => (holder.isConnected ? draw(holder) : drawn.delete(holder)));

  function watch() {
    document.querySelectorAll("[data-chart]").forEach((holder) => seen.observe(holder));
    again();
  }

  watch();
  document.addEventListener("charts-changed", watch);
  window.addEventListener("resize", again);
  // Light and dark are a class of the page.
  new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["class"] });
})();
