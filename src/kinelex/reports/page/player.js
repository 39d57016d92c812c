"use strict";
// Players of clips: every figure of class player holds a strip of still drawings and a clip as JSON.
(() => {
  const MISSING = -32768;
  const SPEEDS = [0.25, 0.5, 1, 2, 4];
  const USUAL_RATE = 30; // frames per second of clips that do not say it
  const FAR = 5; // how far the viewer stands, in sizes of the picture

  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const players = [];

  function element(name, settings = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(settings)) {
      if (key in made) made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function decoded(text) {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    return new Int16Array(bytes.buffer);
  }

  class Player {
    constructor(figure) {
      this.figure = figure;
      this.clip = JSON.parse(figure.querySelector("script").textContent);
      this.solid = this.clip.channels === 3;
      Object.assign(this, { frame: 0, playing: false, yaw: 0, tilt: 0, speed: 1, visible: false });
      this.build();
      this.listen();
      this.show(0);
      figure.player = this;
      figure.classList.add("live");
    }

    build() {
      const { name, frames } = this.clip;
      const keys = this.solid ? "arrow keys turn, space plays" : "space plays";
      this.canvas = element("canvas", { tabIndex: 0, role: "img", "aria-label": `skeletons of ${name}: ${keys}` });
      this.button = element("button", { type: "button" });
      this.slider = element("input", { type: "range", min: 0, max: frames - 1, step: 1, value: 0, "aria-label": `frame of ${name}` });
      this.slider.disabled = this.button.disabled = frames < 2;
      this.time = element("output");
      const speeds = SPEEDS.map((speed) => element("option", { value: speed, textContent: `${speed} ×`, selected: speed === 1 }));
      this.speeds = element("select", { "aria-label": "speed" }, ...speeds);
      const row = element("div", { className: "controls" }, this.button, this.slider, this.time);
      const more = element("div", { className: "controls" }, element("label", {}, "speed ", this.speeds));
      if (this.solid) {
        this.turn = element("input", { type: "range", min: -180, max: 180, step: 5, value: 0 });
        more.append(element("label", { className: "turn" }, "turn ", this.turn));
      }
      this.figure.prepend(element("div", { className: "stage" }, this.canvas, row, more));
      this.setPlaying(false);
    }

    listen() {
      this.button.addEventListener("click", () => this.setPlaying(!this.playing));
      this.slider.addEventListener("input", () => {
        this.setPlaying(false);
        this.show(Number(this.slider.value));
      });
      this.speeds.addEventListener("change", () => (this.speed = Number(this.speeds.value)));
      this.turn?.addEventListener("input", () => this.look((Number(this.turn.value) * Math.PI) / 180, this.tilt));
      this.canvas.addEventListener("keydown", (event) => this.key(event));
      this.canvas.addEventListener("pointerdown", (event) => this.canvas.setPointerCapture(event.pointerId));
      this.canvas.addEventListener("pointermove", (event) => {
        if (!this.solid || !this.canvas.hasPointerCapture(event.pointerId)) return;
        this.look(this.yaw + event.movementX * 0.012, this.tilt + event.movementY * 0.012);
      });
      new ResizeObserver(() => this.draw()).observe(this.canvas);
      new IntersectionObserver((seen) => {
        this.visible = seen.at(-1).isIntersecting; // of several that waited, the last is true
        this.draw();
      }, { rootMargin: "200px" }).observe(this.canvas);
    }

    key(event) {
      const step = 0.1;
      const turns = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key === " ") this.setPlaying(!this.playing);
      else if (this.solid && event.key in turns) {
        const [yaw, tilt] = turns[event.key];
        this.look(this.yaw + yaw, this.tilt + tilt);
      } else if (this.solid && event.key === "Home") this.look(0, 0);
      else return;
      event.preventDefault();
    }

    look(yaw, tilt) {
      this.yaw = Math.atan2(Math.sin(yaw), Math.cos(yaw));
      this.tilt = Math.max(-1.5, Math.min(1.5, tilt));
      this.turn.value = (this.yaw * 180) / Math.PI;
      this.draw();
    }

    setPlaying(playing) {
      this.playing = playing && this.clip.frames > 1;
      this.button.textContent = this.playing ? "Pause" : "Play";
      this.button.setAttribute("aria-label", `${this.button.textContent.toLowerCase()} ${this.clip.name}`);
      cancelAnimationFrame(this.next);
      if (this.playing) this.next = requestAnimationFrame((now) => this.tick(now, now));
    }

    tick(before, now) {
      const rate = (this.clip.fps ?? USUAL_RATE) / this.clip.step;
      if (this.visible) this.show((this.frame + ((now - before) / 1000) * rate * this.speed) % this.clip.frames);
      this.next = requestAnimationFrame((later) => this.tick(now, later));
    }

    show(frame) {
      const { fps, step, frames, length } = this.clip;
      this.frame = Math.max(0, Math.min(frame, frames - 1e-6));
      const at = Math.floor(this.frame);
      const told = fps === null ? `frame ${at * step + 1} of ${length}` : `${((at * step) / fps).toFixed(1)} of ${(length / fps).toFixed(1)} s`;
      this.slider.value = at;
      this.slider.setAttribute("aria-valuetext", told);
      this.time.textContent = told;
      this.mark(at * step);
      this.draw();
    }

    mark(frame) { // the text beside the player that was said about this frame
      const texts = [...(this.figure.parentElement?.querySelectorAll("[data-frame]") ?? [])];
      const past = texts.filter((text) => Number(text.dataset.frame) <= frame);
      const now = past.at(-1) ?? texts[0];
      if (now === this.now) return;
      this.now?.classList.remove("now");
      now?.classList.add("now");
      if (this.now) now.parentElement.scrollTop = now.offsetTop - now.parentElement.offsetTop;
      this.now = now;
    }

    joint(frame, person, joint) {
      const { persons, joints, channels } = this.clip;
      const at = ((frame * persons + person) * joints + joint) * channels;
      return this.values[at] === MISSING ? null : [...this.values.subarray(at, at + channels)].map((value) => value / 32767);
    }

    between(person, joint) { // where a joint is at this moment, null where it is missing
      const first = Math.floor(this.frame), part = this.frame - first;
      const here = this.joint(first, person, joint);
      const next = part > 0 && !calm.matches && first + 1 < this.clip.frames ? this.joint(first + 1, person, joint) : null;
      return here && next ? here.map((value, axis) => value + (next[axis] - value) * part) : here;
    }

    seen([x, y, z = 0]) { // on the canvas, as the viewer sees it: x, y, how far away
      const [sinYaw, cosYaw, sinTilt, cosTilt] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.tilt), Math.cos(this.tilt)];
      const across = x * cosYaw - z * sinYaw, back = x * sinYaw + z * cosYaw;
      const down = y * cosTilt + back * sinTilt, depth = back * cosTilt - y * sinTilt;
      const near = this.solid ? (FAR * this.clip.reach) / Math.max(0.1, FAR * this.clip.reach + depth) : 1;
      return [this.middle[0] + across * this.scale * near, this.middle[1] + down * this.scale * near, depth];
    }

    draw() {
      if (!this.visible) return;
      this.values ??= decoded(this.clip.values);
      const { clientWidth: width, clientHeight: height } = this.canvas, sharp = devicePixelRatio || 1;
      this.canvas.width = width * sharp;
      this.canvas.height = height * sharp;
      const pen = this.canvas.getContext("2d"), style = getComputedStyle(this.canvas);
      pen.scale(sharp, sharp);
      this.middle = [width / 2, height / 2];
      this.scale = Math.min(width / this.clip.across, height / this.clip.down) * (this.solid ? 0.4 : 0.44); // who is near is drawn larger
      pen.lineCap = pen.lineJoin = "round";
      if (this.solid) this.drawFloor(pen, style.getPropertyValue("--line"));
      for (let person = 0; person < this.clip.persons; person++) this.drawPerson(pen, style, person, height);
    }

    drawFloor(pen, colour) {
      const { floor, reach } = this.clip, cells = 4;
      Object.assign(pen, { strokeStyle: colour, lineWidth: 1 });
      pen.beginPath();
      for (let line = -cells; line <= cells; line++) {
        const at = (line / cells) * reach;
        for (const [from, to] of [[[at, -reach], [at, reach]], [[-reach, at], [reach, at]]]) {
          pen.moveTo(...this.seen([from[0], floor, from[1]]).slice(0, 2));
          pen.lineTo(...this.seen([to[0], floor, to[1]]).slice(0, 2));
        }
      }
      pen.stroke();
    }

    drawPerson(pen, style, person, height) {
      const { bones, joints, persons, head } = this.clip;
      const points = Array.from({ length: joints }, (_, joint) => {
        const place = this.between(person, joint);
        return place && this.seen(place);
      });
      const there = points.filter(Boolean);
      if (!there.length) return;
      const width = Math.max(2, height / 85);
      const drawn = bones.filter(([a, b]) => points[a] && points[b]);
      drawn.sort(([a, b], [c, d]) => points[c][2] + points[d][2] - points[a][2] - points[b][2]);
      for (const [joint, parent, side] of drawn) {
        Object.assign(pen, { strokeStyle: style.getPropertyValue(`--${side}`), lineWidth: width });
        pen.beginPath();
        pen.moveTo(points[joint][0], points[joint][1]);
        pen.lineTo(points[parent][0], points[parent][1]);
        pen.stroke();
      }
      pen.fillStyle = style.getPropertyValue("--torso");
      for (const [x, y] of there) this.dot(pen, x, y, width * 0.75);
      if (head !== null && points[head]) this.dot(pen, points[head][0], points[head][1], width * 2);
      if (persons < 2) return;
      const top = there.reduce((best, point) => (point[1] < best[1] ? point : best));
      pen.fillStyle = style.getPropertyValue("--ink");
      pen.font = `600 13px ${style.fontFamily}`;
      pen.fillText(String(person), top[0] - 4, Math.max(12, top[1] - 10));
    }

    dot(pen, x, y, radius) {
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  for (const figure of document.querySelectorAll("figure.player")) players.push(new Player(figure));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => players.forEach((player) => player.draw()));
  if (document.querySelector("[data-opens-playing]") && !calm.matches) players[0]?.setPlaying(true);
})();
