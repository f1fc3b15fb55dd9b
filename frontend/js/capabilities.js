import * as api from "./lib/api.js";
import { capabilities, options } from "./state.js";

const FORMATS = ["png", "jpeg", "webp", "gif", "bmp", "tiff"];
const RETRY_MS = 2000;

const first = (...values) => values.find((value) => value !== undefined && value !== null);

/** The service's answer with what the page needs of it, in the page's words. */
function read(body) {
  const limits = body.limits ?? {};
  return {
    maxBytes: first(limits.max_file_size_bytes, limits.max_file_size, limits.max_file_bytes, Infinity),
    maxPixels: first(limits.max_pixels, Infinity),
    maxLayers: first(limits.max_layers, 10),
    formats: first(body.formats, body.input_formats, limits.formats, FORMATS).map((name) => name.toLowerCase()),
    engines: body.engines ?? [],
    defaults: body.defaults ?? {},
  };
}

/** Asks the service what it can do, again and again until it answers with an engine. */
export async function loadCapabilities() {
  try {
    capabilities.value = read(await api.capabilities());
  } catch {
    // Not there yet; asked again below.
  }
  if (!capabilities.value?.engines.length) setTimeout(loadCapabilities, RETRY_MS);
}

/** The engine that the chosen options lead to, as far as the page knows. */
export function chosenEngine() {
  const engines = capabilities.value?.engines ?? [];
  return engines.find((engine) => engine.name === options.value.engine) ?? engines[0] ?? null;
}

/** Engines that run a diffusion model take steps, guidance and a resolution. */
export function isDiffusion(engine) {
  return engine !== null && engine.name !== "draft";
}

/** What `POST /api/decompose` is to be given: only what was chosen and what the engine reads. */
export function jobParams() {
  const chosen = options.value;
  const engine = chosenEngine();
  const params = { num_layers: chosen.num_layers };
  if (engine && chosen.engine === engine.name) params.engine = engine.name;
  if (chosen.seed !== null) params.seed = chosen.seed;
  if (engine?.uses_prompt && chosen.prompt.trim()) params.prompt = chosen.prompt.trim();
  if (isDiffusion(engine)) {
    for (const name of ["steps", "guidance", "resolution", "output_size"]) {
      if (chosen[name] !== null && chosen[name] !== undefined) params[name] = chosen[name];
    }
  }
  return params;
}
