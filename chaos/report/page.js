// A hair line through every plot, and what was seen at that moment.
const plots = [...document.querySelectorAll('#timeline .plot')];
const readout = document.getElementById('readout');
const list = counts => Object.keys(counts).sort().map(k => '  ' + k.padEnd(24) + counts[k]).join('\n');
for (const plot of plots) {
  plot.addEventListener('mousemove', e => {
    const box = plot.getBoundingClientRect();
    const share = (e.clientX - box.left) / box.width;
    const at = (share - axis.left) / (axis.right - axis.left) * axis.length;
    const p = (points || []).find(p => at >= p.From && at < p.From + axis.width);
    for (const other of plots) {
      const line = other.querySelector('.cross');
      line.setAttribute('x1', share * 1000);
      line.setAttribute('x2', share * 1000);
    }
    readout.hidden = !p;
    if (!p) return;
    readout.textContent = `${p.From.toFixed(1)} s\noffered ${p.Offered.toFixed(0)}/s, good ${p.Good.toFixed(0)}/s\n` +
      `median ${p.P50.toFixed(1)} ms, p99 ${p.P99.toFixed(1)} ms, worst ${p.Max.toFixed(1)} ms\n${list(p.Outcomes)}\ndecided on\n${list(p.Sources)}`;
    const left = e.clientX + 18 + readout.offsetWidth < innerWidth ? e.clientX + 18 : e.clientX - 18 - readout.offsetWidth;
    readout.style.left = left + 'px';
    readout.style.top = Math.min(e.clientY + 12, innerHeight - readout.offsetHeight - 8) + 'px';
  });
  plot.addEventListener('mouseleave', () => {
    readout.hidden = true;
    for (const other of plots) for (const a of ['x1', 'x2']) other.querySelector('.cross').setAttribute(a, -9999);
  });
}
