// SPDX-License-Identifier: Apache-2.0
// What the page does with tags, apart from how it looks; runs in a browser and in node alike.
'use strict';

class Tagging {
  // data: see page_data in page.py; kept: what the browser remembers, {frame: [bool] or null},
  // where null says that the frame was not looked at and nothing says that it is not known.
  constructor(data, kept) {
    this.classes = data.classes;
    this.frames = data.frames;
    this.names = data.frames.map((frame) => frame.name);
    this.rows = new Map(data.frames.map((frame) => [frame.name, frame.tags]));
    for (const [name, tags] of Object.entries(kept || {})) {
      const fits = Array.isArray(tags) && tags.length === this.classes.length;
      if (this.rows.has(name) && (tags === null || fits)) this.rows.set(name, tags);
    }
    for (const [name, tags] of this.rows) this.rows.set(name, tags && tags.map(Boolean));
    this.place = Math.max(0, this.names.findIndex((name) => !this.rows.get(name)));
  }

  get name() { return this.names[this.place]; }

  get done() { return this.names.filter((name) => this.rows.get(name)).length; }

  has(name, index) { const tags = this.rows.get(name); return Boolean(tags && tags[index]); }

  // Say whether a class is there; the frame counts as looked at.
  set(name, index, there) {
    if (index < 0 || index >= this.classes.length) return;
    const tags = this.rows.get(name) || this.classes.map(() => false);
    tags[index] = there;
    this.rows.set(name, tags);
  }

  toggle(index) { this.set(this.name, index, !this.has(this.name, index)); }

  // Whoever goes on has looked: without any tag, nothing is there.
  next() {
    if (!this.rows.get(this.name)) this.rows.set(this.name, this.classes.map(() => false));
    this.place = Math.min(this.place + 1, this.names.length - 1);
  }

  back() { this.place = Math.max(this.place - 1, 0); }

  // The tags of the same place in the image before; nothing where there is no such image.
  copy() {
    const before = this.frames[this.place - 1];
    const here = this.frames[this.place];
    if (!before || String(before.place) !== String(here.place)) return;
    const tags = this.rows.get(before.name);
    if (tags) this.rows.set(here.name, tags.slice());
  }

  clear() { this.rows.set(this.name, null); }

  // All that was not looked at yet holds none of the classes.
  rest() {
    for (const name of this.names) {
      if (!this.rows.get(name)) this.rows.set(name, this.classes.map(() => false));
    }
  }

  // Names of the tiles of an image by row and column, as [row, column, name].
  tiles(image) {
    return this.frames.filter((frame) => frame.image === image)
      .map((frame) => [...frame.place, frame.name]);
  }

  memory() { return JSON.stringify(Object.fromEntries(this.rows)); }

  csv() {
    const lines = [['frame', 'looked_at', ...this.classes].join(',')];
    for (const name of this.names) {
      const tags = this.rows.get(name);
      const cells = tags ? ['1', ...tags.map((there) => (there ? '1' : '0'))]
        : ['', ...this.classes.map(() => '')];
      lines.push([name, ...cells].join(','));
    }
    return lines.join('\n') + '\n';
  }
}

if (typeof module !== 'undefined') module.exports = { Tagging };
