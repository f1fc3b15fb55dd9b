// @ts-check
import * as api from "./lib/api.js";
import { capabilities, options } from "./state.js";

/** @typedef {import("./types.js").Engine} Engine */

const RETRY_MS = 2000;

/** Asks the service what it can do, again and again until it answers with an engine. */
export async function loadCapabilities() {
  try {
    capabilities.value = await api.capabilities();
  } catch {
    // Not reachable yet: asks again below.
  }
  if (!capabilities.value?.engines.length) setTimeout(loadCapabilities, RETRY_MS);
}

/**
 * The engine that the chosen options lead to, as far as the page knows.
 * @returns {Engine | null}
 */
export function chosenEngine() {
  const engines = capabilities.value?.engines ?? [];
  return engines.find((engine) => engine.name === options.value.engine) ?? engines[0] ?? null;
}

/**
 * Engines that run a diffusion model take steps, guidance and a resolution.
 * @param {Engine | null} engine
 */
export function isDiffusion(engine) {
  return engine !== null && engine.name !== "draft";
}

/**
 * Parameters for `POST /api/decompose`: only values that were chosen and that the engine reads.
 * @returns {import("./types.js").Params}
 */
export function jobParams() {
  const { num_layers, engine: wanted, prompt, seed, steps, guidance, resolution, output_size, scene_text, sampler, loras } = options.value;
  const engine = chosenEngine();
  // Those that were removed from the service since are left out.
  const there = loras.filter(({ name }) => engine?.loras?.some((one) => one.name === name));
  const chosen = {
    num_layers,
    engine: engine?.name === wanted ? wanted : null,
    seed,
    prompt: engine?.uses_prompt ? prompt.trim() || null : null,
    ...(engine?.samplers?.includes(sampler) && sampler !== "euler" ? { sampler } : {}),
    ...(there.length ? { loras: there } : {}),
    ...(isDiffusion(engine) ? { steps, guidance, resolution, output_size } : { scene_text: scene_text === "keep" ? null : scene_text }),
  };
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== null));
}
