import { layer } from "./layers.mjs";

// A service with one document, in the place of `fetch`.

/** A result with so many layers; `fields` change its metadata. */
export function metadata(count, fields = {}) {
  const layers = Array.from({ length: count }, (_, at) => layer(at, { info: { z_index: at, name: `Layer ${at}`, bounding_box: null } }).info);
  return { input: { width: 640, height: 480, format: "png" }, layers, ...fields };
}

const PLAIN = { visible: true, opacity: 1, blend: "normal", x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, hue: 0, saturation: 1, lightness: 1 };

/** A layer of a result as an element. */
export const element = (id, { edit, ...fields } = {}) => ({ id, layer: { job_id: "job", layer: id }, ...fields, edit: { ...PLAIN, ...edit } });

export const groupElement = (id, { edit, ...fields } = {}) => ({ id, ...fields, edit: { ...PLAIN, ...edit } });

/** A document as the service has it. */
export function info(elements, fields = {}) {
  const results = [{ job_id: "job", x: 0, y: 0, metadata: metadata(4) }];
  return { job_id: "job", width: 640, height: 480, revision: 0, undo: 0, redo: 0, versions: [], kept_until: null, elements, results, ...fields };
}

export class Service {
  /** What was asked for, as "PUT document". */
  asked = [];
  /** Whether there is no connection. */
  isOff = false;

  constructor(document) {
    this.past = [];
    this.future = [];
    this.document = document;
    globalThis.fetch = (path, init = {}) => this.#answer(path, init);
  }

  get elements() {
    return this.document.elements;
  }

  /** A change that somebody else made. */
  change(elements, amend = false) {
    if (!amend) this.past.push(this.elements);
    this.future = [];
    this.#put(elements);
  }

  #put(elements) {
    const { past, future, document } = this;
    this.document = { ...document, elements, revision: document.revision + 1, undo: past.length, redo: future.length };
  }

  async #answer(path, { method = "GET", headers = {}, body }) {
    // Let others come in between, as a network does.
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.isOff) throw new TypeError("no connection");
    const what = path.replace("api/jobs/job/", "");
    this.asked.push(`${method} ${what}`);
    const match = headers["If-Match"];
    if (match && match !== `"${this.document.revision}"`) return refused(412, "document_changed");
    if (method === "PUT") {
      const { elements, amend } = JSON.parse(body);
      if (elements.some(({ edit }) => edit.opacity > 1)) return refused(422, "invalid_parameter");
      this.change(elements, amend);
    } else if (what === "document/undo" || what === "document/redo") {
      const [from, to] = what.endsWith("undo") ? [this.past, this.future] : [this.future, this.past];
      if (from.length === 0) return refused(422, "nothing_to_undo");
      to.push(this.elements);
      this.#put(from.pop());
    } else if (what !== "document") {
      return refused(404, "not_found");
    }
    return new Response(JSON.stringify(this.document), { status: 200 });
  }
}

const refused = (status, code) => new Response(JSON.stringify({ error: { code, message: code } }), { status });
