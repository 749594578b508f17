// What a page has seen of a guest or of the host: the last ten minutes, one look a second.
const KEPT = 600;

export class Series {
  #fields;
  #columns;
  #count = 0;

  constructor(fields) {
    this.#fields = fields;
    this.#columns = Object.fromEntries(["at_s", ...fields].map((name) => [name, new Float64Array(KEPT)]));
  }

  get length() {
    return Math.min(this.#count, KEPT);
  }

  // What is null was not said: a gap.
  push(at_s, values) {
    const place = this.#count++ % KEPT;
    this.#columns.at_s[place] = at_s;
    for (const name of this.#fields) this.#columns[name][place] = values[name] ?? NaN;
  }

  // The value of a field, so many looks ago.
  back(name, looks) {
    return this.#columns[name][(this.#count - 1 - looks + KEPT) % KEPT];
  }

  // A field from the oldest to the newest, with null for gaps.
  column(name) {
    const values = new Array(this.length);
    for (let place = 0; place < values.length; place++) {
      const value = this.back(name, values.length - 1 - place);
      values[place] = Number.isNaN(value) ? null : value;
    }
    return values;
  }
}
