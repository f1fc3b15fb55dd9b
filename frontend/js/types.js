// @ts-check
// The shapes of data on the page, for the type check alone: nothing imports this at run time.
// Those of the API are as `/api/openapi.json` has them, as far as the page reads them.

/**
 * A message of the service. `text` is in English; the page translates by `code` and `data`, where they are there.
 * @typedef {{ code?: string | null, text?: string | null, data?: Record<string, unknown> | null }} Message
 */

// Geometry.

/** @typedef {{ x: number, y: number }} Point */
/** @typedef {{ width: number, height: number }} Size */
/**
 * `x` and `y` are the top left corner.
 * @typedef {{ x: number, y: number, width: number, height: number }} Rect
 */

// What the API answers with.

/** @typedef {"queued" | "running" | "succeeded" | "failed" | "cancelled"} State */
/** @typedef {{ code: string, message: string, data?: Record<string, unknown> | null }} Failure */
/** @typedef {{ stage: string, step: number, total: number, percent: number, eta_ms?: number | null }} Progress */
/** @typedef {{ upload_id: string }} Uploaded */
/** @typedef {{ job_id: string }} Accepted */
/** @typedef {{ id: string, state: State }} JobSummary */

/**
 * Answer of `GET /api/status/{id}`.
 * @typedef {object} JobStatus
 * @property {string} id
 * @property {State} state
 * @property {string} upload_id
 * @property {boolean} cancel_requested
 * @property {number | null} [position] in the queue; 0 is next
 * @property {Progress | null} [progress]
 * @property {string | null} [engine]
 * @property {Failure | null} [error]
 */

/**
 * Why something was done: the words, and the code that stands for them.
 * @typedef {{ reason: string, reason_code?: string | null, reason_data?: Record<string, unknown> | null }} Reason
 */

/**
 * A numbered entry in a job's history, or a `position` or `removed` frame without a number.
 * @typedef {{ seq?: number } & (
 *   | { type: "queued" | "succeeded" | "cancelled" | "cancel_requested" }
 *   | { type: "position", position: number }
 *   | { type: "started", engine: string } & Reason
 *   | { type: "progress" } & Progress
 *   | { type: "note", message?: string } & Message
 *   | { type: "requeued" } & Reason
 *   | { type: "failed", error: Failure }
 *   | { type: "removed", message: string }
 * )} JobEvent
 */

/** @typedef {"background" | "object" | "subject" | "text" | "unknown"} Kind */
/** @typedef {"text" | "people" | "objects"} GroupCode */
/**
 * What a layer shows, in codes: those of crate `layers`, or of a newer one.
 * @typedef {{ thing: string, colour?: string | null, number?: number | null }} Label
 */
/** @typedef {{ empty: boolean, copy_of_composite: boolean, duplicate_of?: number | null }} LayerFlags */

/**
 * What `metadata.json` says of one layer.
 * @typedef {object} LayerInfo
 * @property {string} file
 * @property {number} z_index 0 is the lowest
 * @property {string} name
 * @property {Kind} kind
 * @property {string | null} [text] the words of a text layer
 * @property {LiveText | null} [live_text] the same as text that can be edited
 * @property {GroupCode | null} [group] shared with its neighbours of the same group
 * @property {Label | null} [label]
 * @property {number} coverage 0 to 1
 * @property {number} visible_share 0 to 1
 * @property {LayerFlags} flags
 * @property {Rect | null} [bounding_box] absent for an empty layer
 */

/** @typedef {import("./types-text.js").LiveText} LiveText */
/** @typedef {import("./types-text.js").TextBlock} TextBlock */
/** @typedef {import("./types-text.js").LineInfo} LineInfo */
/** @typedef {import("./types-text.js").FontMatch} FontMatch */
/** @typedef {import("./types-text.js").Align} Align */
/** @typedef {import("./types-text.js").Text} Text */
/** @typedef {import("./types-text.js").TextLine} TextLine */
/** @typedef {import("./types-text.js").TextStyle} TextStyle */
/** @typedef {import("./types-text.js").Gradient} Gradient */
/** @typedef {import("./types-text.js").TextEdits} TextEdits */
/** @typedef {import("./types-text.js").FontList} FontList */
/** @typedef {import("./types-text.js").FontFamily} FontFamily */
/** @typedef {import("./types-text.js").FontFace_} FontFace_ */

/**
 * @typedef {object} LayerAnalysis
 * @property {string} engine_name
 * @property {string} description
 * @property {string} quality_notes
 * @property {string | null} [name]
 * @property {string | null} [language]
 */

/** @typedef {{ num_layers?: number | null, redo: number[], text: string }} Recommendation */

/**
 * A model's opinion of the layers.
 * @typedef {object} Analysis
 * @property {string} analyzer
 * @property {string} model
 * @property {LayerAnalysis[]} layers
 * @property {{ quality: "good" | "fair" | "poor", reason: string } | null} [verdict]
 * @property {Recommendation | null} [recommendation]
 */

/**
 * How far the composite is from the input, of 255.
 * @typedef {object} Recomposition
 * @property {number} max_error
 * @property {number} mean_error
 * @property {number | null} [psnr_db]
 * @property {[number, number] | null} [worst]
 */

/**
 * @typedef {object} EngineInfo
 * @property {string} name
 * @property {string} version
 * @property {string} device
 * @property {string | null} [model]
 * @property {string | null} [model_revision]
 */

/**
 * `metadata.json` of a result.
 * @typedef {object} Metadata
 * @property {Size & { filename?: string | null, format: string }} input
 * @property {Params} params
 * @property {number} seed
 * @property {EngineInfo & Reason} engine
 * @property {number} duration_ms
 * @property {string} created_at
 * @property {LayerInfo[]} layers the lowest first
 * @property {Recomposition} recomposition
 * @property {(Message | string)[]} notes
 * @property {Size | null} [canvas] absent where layers are as large as the input
 * @property {Analysis | null} [analysis]
 * @property {{ quality: "clean" | "fair" | "rough", reason: Message } | null} [background] how well it was completed
 */

/** @typedef {{ name: string, strength: number }} LoraChoice */

/**
 * What a job is asked for; what is absent is left to the service.
 * @typedef {object} Params
 * @property {number | "auto"} [num_layers]
 * @property {string} [engine]
 * @property {string} [prompt]
 * @property {number | null} [seed]
 * @property {number | null} [steps]
 * @property {number | null} [guidance]
 * @property {number | null} [resolution]
 * @property {string | null} [output_size]
 * @property {string | null} [scene_text]
 * @property {string | null} [sampler]
 * @property {LoraChoice[] | null} [loras]
 */

/**
 * An edit as the service keeps it.
 * @typedef {object} LayerEdit
 * @property {string} [name] absent for the engine's
 * @property {boolean} visible
 * @property {number} opacity
 * @property {Blend} [blend]
 * @property {number} x
 * @property {number} y
 * @property {number} scale_x
 * @property {number} scale_y
 * @property {number} rotation
 * @property {Effects} [effects]
 * @property {number} hue
 * @property {number} saturation
 * @property {number} lightness
 * @property {TextEdits} [text]
 */

/**
 * What is drawn behind a layer's pixels, in pixels of the document. `blur` is twice the deviation.
 * @typedef {object} Effects
 * @property {{ width: number, colour: string } | null} [outline]
 * @property {{ dx: number, dy: number, blur: number, colour: string, opacity: number } | null} [shadow]
 */
/** @typedef {"normal" | "multiply" | "screen" | "overlay" | "darken" | "lighten"} Blend */
/** @typedef {{ job_id: string, layer: number }} LayerRef */
/**
 * A mask as a PNG in a `data:` URL, and where it lies on the document's canvas.
 * @typedef {{ png: string, x?: number, y?: number }} MaskImage
 */
/**
 * Answers of `POST /api/jobs/{id}/pick`.
 * @typedef {{ element: number, score: number | null, mask: MaskImage, width: number, height: number }} PickPreview
 * @typedef {{ element: number, source: number, lifted: boolean, completed: boolean, document: DocumentInfo }} Picked
 */

/**
 * A picture that is stored with the document, `{digits}-{width}x{height}`, and where it lies on the document's canvas.
 * @typedef {{ id: string, x?: number, y?: number, kind?: Kind, label?: Label | null }} Picture
 */

/**
 * A layer of a document, a picture in place of it or by itself, or a group: one with `child` stands for the layer that that
 * job split.
 * @typedef {object} Element_
 * @property {number} id
 * @property {number} [parent] the group that it is in
 * @property {LayerRef} [layer]
 * @property {Picture} [picture]
 * @property {string} [child]
 * @property {GroupCode} [group]
 * @property {boolean} [locked]
 * @property {LayerEdit} edit
 */

/**
 * Answer of `GET /api/jobs/{id}/document`: elements side by side from the lowest to the highest, each group before what is
 * in it; the first result is the job's own.
 * @typedef {object} DocumentInfo
 * @property {string} job_id
 * @property {number} width
 * @property {number} height
 * @property {number} revision
 * @property {number} undo how many steps can be taken back
 * @property {number} redo
 * @property {string | null} [kept_until]
 * @property {{ number: number, name: string, created_at: string }[]} versions
 * @property {Element_[]} elements
 * @property {number[]} [pixel_text] layers with words that every format has as pixels
 * @property {{ job_id: string, x: number, y: number, metadata: Metadata }[]} results
 */

/**
 * @typedef {object} Engine
 * @property {string} name
 * @property {string} [device]
 * @property {string | null} [model]
 * @property {boolean} [uses_prompt]
 * @property {number} [max_layers]
 * @property {string[]} [samplers]
 * @property {{ name: string, trained_for?: string | null }[]} [loras]
 */

/**
 * Answer of `GET /api/capabilities`.
 * @typedef {object} Capabilities
 * @property {Engine[]} engines the best first
 * @property {string[]} formats
 * @property {{ max_file_size_bytes: number, max_pixels: number, max_layers: number, max_keep_hours?: number }} limits
 * @property {Params} defaults
 */

// What the page keeps.

/**
 * @typedef {object} Options
 * @property {number | "auto"} num_layers
 * @property {string} engine
 * @property {string} prompt
 * @property {number | null} seed `null`, as below, where it is left to the service
 * @property {number | null} steps
 * @property {number | null} guidance
 * @property {number | null} resolution
 * @property {string} output_size
 * @property {string} scene_text what becomes of words on things: "keep" or "lift"
 * @property {string} sampler
 * @property {LoraChoice[]} loras
 */

/** @typedef {"empty" | "uploading" | "job" | "result"} Screen */
/**
 * A file on its way; `error` says why it did not arrive.
 * @typedef {{ name: string, url: string, fraction: number, error?: string }} Upload
 */
/** @typedef {{ id: number, kind: "error" | "info", text: string, offer?: { words: string, run: () => void } }} Notice */

/**
 * The job on the page. `finishing` is a job that has succeeded and whose result is still on its way; `gone` is one that
 * the service no longer knows.
 * @typedef {object} CurrentJob
 * @property {string} id
 * @property {string} name
 * @property {string | null} uploadId
 * @property {State | "finishing" | "gone"} state
 * @property {Message[]} notes
 * @property {string[]} stages those that it has come to, in their order
 * @property {boolean} linked whether its events arrive
 * @property {boolean} [isNew] whether the result was made just now, and nobody has seen it yet
 * @property {boolean} [cancelling]
 * @property {number | null} [position]
 * @property {Progress | null} [progress]
 * @property {number} [progressAt] when `progress` arrived, in milliseconds since 1970
 * @property {string | null} [engine]
 * @property {Message | null} [reason] why this engine
 * @property {Failure | null} [error]
 */

/**
 * One of this browser's jobs.
 * @typedef {object} RecentJob
 * @property {string} id
 * @property {string | null} uploadId
 * @property {string} name
 * @property {string} state
 * @property {string} at when it was sent, as ISO 8601
 */

/**
 * A group: of what a layer was `split` into, of neighbours that the service put together (then it has their `code`), or of
 * what somebody put together.
 * @typedef {object} Group
 * @property {number} key
 * @property {string} name
 * @property {string} given its name until somebody gives it another one
 * @property {boolean} visible
 * @property {number} opacity
 * @property {Blend} blend
 * @property {GroupCode} [code]
 * @property {{ layer: LayerRef, child: string }} [split]
 * @property {Label | null} [label] what the layer showed that was split
 */

/**
 * The editable fields of a layer. `x` and `y` say how far it was moved in pixels, `scale_x` and
 * `scale_y` are factors about its middle, about which `rotation` then turns it, in degrees clockwise; `hue` is
 * in degrees, `saturation` and `lightness` are factors. `text` is `null` where no words were edited, and `effects` where
 * there are none.
 * @typedef {Omit<LayerEdit, "text" | "name" | "blend" | "effects"> & { name: string, blend: Blend, locked: boolean, text: TextEdits | null, effects: Effects | null }} Editable
 */

/**
 * Where a layer comes from: `made` is what an engine made it, absent for a picture by itself. What a layer with a `picture`
 * shows is that, and its `info` and `origin` tell of it.
 * @typedef {object} LayerPlace
 * @property {string} job the result that it is a layer of
 * @property {Point} origin where that result's canvas lies on the document's
 * @property {Group[]} groups those that it is in, the outermost first
 * @property {Made | null} made
 * @property {Picture | null} picture
 */

/** @typedef {{ info: LayerInfo, origin: Point }} Made */

/**
 * A layer of the document. Its `key` is the same whenever the result is opened.
 * @typedef {Editable & LayerPlace & { key: number, info: LayerInfo }} Layer
 */

/**
 * The document on the page. Never changed in place: each edit makes a new value, so that undo can keep the old ones.
 * @typedef {object} Doc
 * @property {string} id the result's job
 * @property {number} width
 * @property {number} height
 * @property {Layer[]} layers the lowest first
 */

/**
 * `GET /api/session`: who uses the page.
 * @typedef {{ needs_token: boolean, name?: string, scopes: string[] }} Session
 */

/**
 * A row in the list of layers.
 * @typedef {{ key: number, depth: number, layer?: Layer, group?: Group }} Row
 */

export {};
