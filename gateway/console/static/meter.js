// The level of the microphone, from its samples to the meter on the page.

const PERIOD = 100; // ms; a timer, because animation frames stop in a hidden tab
const FLOOR = -60; // dBFS that count as nothing

/** Shows levels on `element` (role meter); `watch(stream)`, and `watch(null)` to stop. */
export class LevelMeter {
  #element;
  #context = null;
  #timer = 0;

  constructor(element) {
    this.#element = element;
    this.#show(FLOOR);
  }

  watch(stream) {
    clearInterval(this.#timer);
    this.#context?.close();
    this.#context = null;
    this.#show(FLOOR);
    if (stream === null) return;
    const context = new AudioContext();
    this.#context = context;
    const analyser = new AnalyserNode(context, { fftSize: 2048 });
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      // Without a sound card Firefox leaves the context suspended: there is nothing to measure with.
      if (context.state !== "running") return void context.resume();
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      this.#show(power > 0 ? Math.max(FLOOR, 10 * Math.log10(power)) : FLOOR);
    }, PERIOD);
  }

  #show(db) {
    const percent = Math.round(100 * (1 - Math.min(db, 0) / FLOOR));
    this.#element.setAttribute("aria-valuenow", String(percent));
    this.#element.setAttribute("aria-valuetext", db <= FLOOR ? "silent" : `${Math.round(db)} dB`);
    this.#element.dataset.db = db.toFixed(1);
    this.#element.style.setProperty("--level", `${percent}%`);
  }
}
