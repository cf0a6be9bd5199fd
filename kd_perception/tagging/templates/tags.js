// SPDX-License-Identifier: Apache-2.0
// What the page does with tags, apart from how it looks; runs in a browser and in node alike.
'use strict';

class Tagging {
  // data: {classes: [name], rows: {frame: [bool] or null}}; kept: what the browser remembers.
  constructor(data, kept) {
    this.classes = data.classes;
    this.names = Object.keys(data.rows);
    this.rows = {};
    for (const name of this.names) {
      const known = kept && kept[name];
      const tags = Array.isArray(known) && known.length === this.classes.length
        ? known : data.rows[name];
      this.rows[name] = tags ? tags.map(Boolean) : null;
    }
    this.place = Math.max(0, this.names.findIndex((name) => !this.rows[name]));
  }

  get name() { return this.names[this.place]; }

  get done() { return this.names.filter((name) => this.rows[name]).length; }

  // Yes becomes no and no becomes yes; the frame counts as looked at.
  toggle(index) {
    if (index < 0 || index >= this.classes.length) return;
    const tags = this.rows[this.name] || this.classes.map(() => false);
    tags[index] = !tags[index];
    this.rows[this.name] = tags;
  }

  // Whoever goes on has looked: without any tag, nothing is there.
  next() {
    if (!this.rows[this.name]) this.rows[this.name] = this.classes.map(() => false);
    this.place = Math.min(this.place + 1, this.names.length - 1);
  }

  back() { this.place = Math.max(this.place - 1, 0); }

  // The tags of the frame before: in a drive little changes from one to the next.
  copy() {
    const before = this.rows[this.names[this.place - 1]];
    if (before) this.rows[this.name] = before.slice();
  }

  clear() { this.rows[this.name] = null; }

  csv() {
    const lines = [['frame', 'looked_at', ...this.classes].join(',')];
    for (const name of this.names) {
      const tags = this.rows[name];
      const cells = tags ? ['1', ...tags.map((there) => (there ? '1' : '0'))]
        : ['', ...this.classes.map(() => '')];
      lines.push([name, ...cells].join(','));
    }
    return lines.join('\n') + '\n';
  }
}

if (typeof module !== 'undefined') module.exports = { Tagging };
