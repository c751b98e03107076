// The stage: a clip's true video and up to three models beside it, in step under one control.
//
// A player is one video, the true picture left of the generated one. Each tile is a canvas that shows its half. The
// first model's video leads, and the others are held to its time. Browsers still show the frames of several videos at
// slightly different moments, so the last frames of each are kept, and tiles show the newest frame that all have, or
// the one before it where a busy machine left it out: two tiles are never more than one frame apart.
(() => {
  const { $, make, draw, page, show, whenNear } = tk;
  const stage = $("stage");
  if (!stage) { tk.watch = () => {}; return; }
  const MOST = 3;
  const LATE = 0.15; // seconds after which a video is set to the leader's time, and not only slowed or hurried
  const KEPT = 16; // frames of each video

  const start = () => {
    const data = tk.data("watch-data");
    const shots = new Map(); // model -> { video, ready, tile: [canvas, mouth] }
    const state = { clip: null, models: [], frame: 0, frames: 1, playing: false, turn: 0, scene: 0 };
    const addresses = new Map();
    const styleOf = (m) => page.models[m].style;
    const nameOf = (m) => page.models[m].name;

    const address = (source) => {
      if (data.files) return source;
      if (!addresses.has(source)) {
        const text = atob($(source).textContent.trim());
        const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
        addresses.set(source, URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })));
      }
      return addresses.get(source);
    };
    const once = (target, name) => new Promise((done) => {
      target.addEventListener(name, done, { once: true });
      target.addEventListener("error", done, { once: true });
    });
    const leader = () => shots.get(state.models[0])?.video;
    const all = () => state.models.map((m) => shots.get(m)).filter(Boolean);

    // Tiles: the true video, then the models.
    const tile = (name, style, note) => {
      const [picture, mouth] = ["picture", "mouth"].map((kind) => make("canvas", { className: kind, width: 2, height: 2 }));
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", `${name}, video`);
      mouth.setAttribute("role", "img");
      mouth.setAttribute("aria-label", `${name}, mouth`);
      mouth.hidden = !state.clip.box;
      const caption = make("figcaption", {}, make("span", { className: `key ${style}` }), make("b", {}, name));
      if (note) caption.append(make("small", {}, note));
      return { node: make("figure", { className: "tile" }, picture, mouth, caption), picture, mouth };
    };
    const paint = ({ picture, mouth }, video, side) => {
      const [width, height] = [(video.videoWidth ?? video.width) / 2, video.videoHeight ?? video.height];
      if (!width) return;
      if (picture.width !== width || picture.height !== height) Object.assign(picture, { width, height });
      picture.dataset.frame = String(state.frame);
      picture.getContext("2d").drawImage(video, side * width, 0, width, height, 0, 0, width, height);
      const box = state.clip.box?.[Math.min(state.frame, state.clip.box.length - 1)];
      if (!box) return;
      const [x, y, w, h] = [box[0] * width, box[1] * height, (box[2] - box[0]) * width, (box[3] - box[1]) * height];
      if (mouth.width !== 160) Object.assign(mouth, { width: 160, height: 160 });
      const pen = mouth.getContext("2d");
      pen.fillRect(0, 0, 160, 160);
      // What lies outside of the picture stays dark, and nothing of the other half is shown.
      const [left, top] = [Math.max(x, 0), Math.max(y, 0)];
      const [right, bottom] = [Math.min(x + w, width), Math.min(y + h, height)];
      if (right <= left || bottom <= top) return;
      const scale = 160 / w;
      pen.drawImage(video, side * width + left, top, right - left, bottom - top,
        (left - x) * scale, (top - y) * scale, (right - left) * scale, (bottom - top) * scale);
    };
    const paintAll = () => {
      const first = leader();
      if (!first) return;
      const pictures = all().map(pictureOf);
      paint(state.real, pictures[0], 0);
      all().forEach(({ tile: own }, i) => paint(own, pictures[i], 1));
      $("stage-seek").value = String(state.frame);
      $("stage-time").textContent = `frame ${state.frame + 1} of ${state.frames} · ${(state.frame / data.fps).toFixed(2)} s`;
      state.playhead?.();
    };

    // The picture that a video shows, with its time; null where a browser has no such thing, or nothing is decoded yet.
    const frameOf = (video) => {
      try { return window.VideoFrame ? new window.VideoFrame(video) : null; } catch { return null; }
    };
    // The frames that a video has shown lately.
    const keep = (shot, told) => {
      const { video, frames } = shot;
      if (!video.videoWidth) return;
      // A busy machine may show a newer frame by the time it tells of one; the picture itself knows which it is.
      const exact = frameOf(video);
      const frame = exact ? Math.round((exact.timestamp / 1e6) * data.fps) : told;
      const spare = frames.size >= KEPT ? frames.keys().next().value : null;
      const canvas = spare === null ? make("canvas", { width: video.videoWidth, height: video.videoHeight }) : frames.get(spare);
      if (spare !== null) frames.delete(spare);
      canvas.getContext("2d").drawImage(exact ?? video, 0, 0, canvas.width, canvas.height);
      exact?.close();
      frames.delete(frame);
      frames.set(frame, canvas);
    };
    const follow = (shot) => {
      if (!shot.video.requestVideoFrameCallback) return;
      shot.video.requestVideoFrameCallback((_, facts) => {
        if (shots.get(shot.model) !== shot) return;
        keep(shot, Math.round(facts.mediaTime * data.fps));
        follow(shot);
      });
    };
    // What a video showed at the stage's frame, or just before it; the video itself where a browser does not tell frames.
    const near = (frames, frame) => frames.get(frame) ?? frames.get(frame - 1);
    const pictureOf = ({ video, frames }) => near(frames, state.frame) ?? video;
    // The newest frame at which all videos can be shown so.
    const common = () => {
      const kept = all().map((shot) => shot.frames);
      const told = kept.flatMap((frames) => [...frames.keys()]);
      return Math.max(-1, ...told.filter((frame) => kept.every((frames) => near(frames, frame))));
    };

    const setPlaying = (playing) => {
      state.playing = playing;
      $("stage-play").textContent = playing ? "Stop" : "Play";
    };
    const seek = async (frame) => {
      state.frame = Math.max(0, Math.min(frame, state.frames - 1));
      const turn = (state.turn += 1);
      await Promise.all(all().map(({ video }) => {
        const done = once(video, "seeked");
        video.currentTime = (state.frame + 0.5) / data.fps;
        return done;
      }));
      if (turn !== state.turn) return;
      // All stand still at this frame now.
      all().forEach((shot) => { shot.frames.clear(); keep(shot, state.frame); });
      paintAll();
    };
    const stop = () => {
      if (!state.playing) return Promise.resolve();
      setPlaying(false);
      all().forEach(({ video }) => video.pause());
      return seek(state.frame);
    };
    const rate = () => Number($("stage-speed").value);
    const tick = () => {
      if (!state.playing) return;
      const first = leader();
      const now = first.currentTime;
      if (first.ended || now >= state.frames / data.fps - 0.005) {
        if ($("stage-loop").checked) { restart(); return; }
        stop();
        return;
      }
      all().slice(1).forEach(({ video }) => {
        const late = now - video.currentTime;
        if (video.ended) return;
        if (Math.abs(late) > LATE) video.currentTime = now;
        video.playbackRate = rate() * (1 + Math.max(-0.2, Math.min(0.2, 2 * late)));
      });
      const newest = first.requestVideoFrameCallback ? common() : Math.floor(now * data.fps);
      if (newest > state.frame) {
        state.frame = Math.min(newest, state.frames - 1);
        paintAll();
      }
      requestAnimationFrame(tick);
    };
    const play = async () => {
      if (!leader()) return;
      // From the last frame on it begins again.
      if (state.frame >= state.frames - 1) await seek(0);
      setPlaying(true);
      all().forEach(({ video }) => { video.playbackRate = rate(); });
      const done = await Promise.allSettled(all().map(({ video }) => video.play()));
      if (done[0]?.status === "rejected") { setPlaying(false); return; }
      requestAnimationFrame(tick);
    };
    const restart = async () => {
      await seek(0);
      if (!state.playing) return;
      await Promise.allSettled(all().map(({ video }) => video.play()));
      requestAnimationFrame(tick);
    };

    // What is under the videos.
    const drawOpening = () => {
      const figure = $("stage-opening");
      const { opening, openings } = state.clip;
      const series = [{ name: "true video", style: "ink", points: opening }]
        .concat(state.models.filter((m) => openings[m]).map((m) => ({ name: nameOf(m), style: styleOf(m), points: openings[m] })))
        .map((one) => ({ ...one, points: one.points.map((v, i) => [i / data.fps, v]) }));
      figure.hidden = !opening.length;
      state.playhead = null;
      if (figure.hidden) return;
      const box = tk.lines(figure.querySelector(".plot"), series, { xName: "seconds", label: `Opening of the lips over time on ${state.clip.key}` });
      if (!box) { figure.hidden = true; return; }
      const hand = draw("line", { class: "hand", y1: box.top, y2: box.bottom });
      box.svg.append(hand);
      state.playhead = () => ["x1", "x2"].forEach((end) => hand.setAttribute(end, box.at(state.frame / data.fps)));
      box.svg.onclick = async (event) => {
        const across = box.svg.getBoundingClientRect();
        const x = (event.clientX - across.left) * (box.width / across.width);
        await stop();
        seek(Math.round(((x - box.left) / (box.right - box.left)) * (opening.length - 1)));
      };
    };
    const drawShift = () => {
      const figure = $("stage-shift");
      const judges = Object.keys(state.clip.curves);
      figure.hidden = !judges.length;
      if (figure.hidden) return;
      const box = $("stage-judge");
      const kept = judges.includes(box.value) ? box.value : judges[0];
      box.replaceChildren(...judges.map((name) => make("option", {}, name)));
      box.value = kept;
      box.parentElement.hidden = judges.length < 2;
      const lines = state.clip.curves[kept];
      const real = page.models.findIndex((model) => model.anchor && model.name === "real");
      const shown = [...(lines[real] && !state.models.includes(real) ? [real] : []), ...state.models.filter((m) => lines[m])];
      const series = shown.map((m) => {
        const middle = (lines[m].length - 1) / 2;
        const points = lines[m].map((v, i) => [i - middle, v]);
        return { name: m === real ? "true video" : nameOf(m), style: styleOf(m), points, mark: points.reduce((a, b) => (b[1] < a[1] ? b : a)) };
      });
      figure.querySelector(".plot").replaceChildren();
      tk.lines(figure.querySelector(".plot"), series, { xName: "shift of the video, frames", zero: 0, label: `Distance against shift on ${state.clip.key}, judge ${kept}` });
    };

    // Scores beneath a tile: the ranking metric, from the per-clip table.
    const score = (m) => {
      const clips = tk.data("clip-data");
      const i = clips.keys.indexOf(state.clip.key);
      const found = clips.models[m].values[clips.rank][i];
      const column = clips.columns[clips.rank];
      return found === null || found === undefined ? "" : `${column.name} ${show(tk.number(found), column)}`;
    };

    const compose = async () => {
      const scene = (state.scene += 1);
      setPlaying(false);
      shots.forEach(({ video }) => video.pause());
      const real = page.models.findIndex((model) => model.anchor && model.name === "real");
      state.real = tile("true video", "ink", real >= 0 ? score(real) : "");
      shots.clear();
      const tiles = [state.real.node];
      state.models.forEach((m) => {
        const video = make("video", { preload: "auto", playsInline: true, muted: true, src: address(state.clip.videos[m]) });
        const own = tile(nameOf(m), styleOf(m), score(m));
        const shot = { model: m, video, tile: own, frames: new Map(), ready: once(video, "loadeddata") };
        shots.set(m, shot);
        follow(shot);
        tiles.push(own.node);
      });
      $("stage-tiles").replaceChildren(...tiles);
      $("stage-videos").replaceChildren(...all().map(({ video }) => video));
      $("stage-tiles").style.setProperty("--tiles", tiles.length);
      const sound = $("stage-sound");
      const heard = sound.value;
      sound.replaceChildren(make("option", { value: "" }, "none"), ...state.models.map((m) => make("option", { value: String(m) }, nameOf(m))));
      sound.value = heard !== "" && state.models.includes(Number(heard)) ? heard : heard === "" && sound.dataset.chosen ? "" : String(state.models[0] ?? "");
      hear();
      drawOpening();
      drawShift();
      await Promise.all(all().map((shot) => shot.ready));
      if (scene !== state.scene) return;
      const lengths = all().map(({ video }) => Math.round(video.duration * data.fps)).filter((n) => n > 0);
      state.frames = Math.max(1, Math.min(...lengths, state.clip.box?.length ?? Infinity));
      $("stage-seek").max = String(state.frames - 1);
      await seek(Math.min(state.frame, state.frames - 1));
    };
    const hear = () => shots.forEach(({ video }, m) => { video.muted = String(m) !== $("stage-sound").value; });

    const chips = () => {
      const there = state.clip.videos;
      $("stage-models").replaceChildren(...page.models.flatMap((model, m) => {
        if (!(m in there) || (model.anchor && model.name === "real")) return [];
        const on = state.models.includes(m);
        const chip = make("button", { type: "button", className: "chip" }, make("span", { className: `key ${model.style}` }), model.name);
        chip.setAttribute("aria-pressed", String(on));
        chip.onclick = () => {
          if (on && state.models.length === 1) return;
          // A fourth model takes the place of the one that was chosen first.
          state.models = on ? state.models.filter((one) => one !== m) : [...state.models, m].slice(-MOST);
          chips();
          [...$("stage-models").children].find((one) => one.textContent === model.name).focus();
          compose();
        };
        return [chip];
      }));
    };
    const clipBox = $("stage-clip");
    data.clips.forEach((clip, i) => {
      const count = Object.keys(clip.videos).length;
      clipBox.append(make("option", { value: String(i) }, `${clip.key} (${count} model${count === 1 ? "" : "s"})`));
    });
    const choose = (i, wanted) => {
      state.clip = data.clips[i];
      state.frame = 0;
      clipBox.value = String(i);
      const there = Object.keys(state.clip.videos).map(Number);
      const kept = (wanted ?? state.models).filter((m) => there.includes(m));
      const models = there.filter((m) => !page.models[m].anchor);
      const others = there.filter((m) => !(page.models[m].anchor && page.models[m].name === "real"));
      state.models = (kept.length ? kept : (models.length ? models : others.length ? others : there).slice(0, 2)).slice(0, MOST);
      chips();
      return compose();
    };
    clipBox.onchange = () => choose(Number(clipBox.value));

    $("stage-play").onclick = () => (state.playing ? stop() : play());
    const step = async (by) => { await stop(); await seek(state.frame + by); };
    $("stage-back").onclick = () => step(-1);
    $("stage-next").onclick = () => step(1);
    $("stage-seek").oninput = async (event) => { const to = Number(event.target.value); await stop(); seek(to); };
    $("stage-speed").onchange = () => all().forEach(({ video }) => { video.playbackRate = rate(); });
    $("stage-sound").onchange = () => { $("stage-sound").dataset.chosen = "1"; hear(); };
    $("stage-judge").onchange = drawShift;
    stage.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const taken = event.target.closest("select, input, summary") !== null;
      if (by && !taken) { event.preventDefault(); step(by); }
      if (event.key === " " && !taken && !event.target.closest("button")) { event.preventDefault(); $("stage-play").click(); }
    });
    let width = stage.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(stage.clientWidth - width) < 20) return;
      width = stage.clientWidth;
      drawOpening();
      drawShift();
      state.playhead?.();
    }).observe(stage);

    tk.watch = (key, m) => {
      const i = data.clips.findIndex((clip) => clip.key === key);
      if (i < 0) return;
      const models = data.clips[i].videos;
      const isReal = (place) => page.models[place].anchor && page.models[place].name === "real";
      // Beside the model that was asked for stands the best other one.
      const other = page.models.findIndex((model, place) => !model.anchor && place !== m && place in models);
      choose(i, [...(isReal(m) ? [] : [m]), other].filter((one) => one >= 0));
      $("players").scrollIntoView({ block: "start" });
      stage.focus({ preventScroll: true });
    };
    // For tests, and for whoever looks at the page with the tools of a browser.
    tk.stageVideos = () => all().map(({ video }) => video);
    tk.stageTimes = () => all().map(({ video }) => video.currentTime);
    const wanted = data.clips.findIndex((clip) => clip.key === page.watch);
    choose(Math.max(wanted, 0));
  };

  let started = false;
  const begin = () => { if (!started) { started = true; start(); } };
  tk.watch = (key, m) => { begin(); tk.watch(key, m); };
  stage.hidden = false;
  whenNear(stage, begin);
})();
