//! The fixed texts around a prompt, as `QwenImageLayeredPipeline` has them.

use super::Language;

/// Positions of the template before the prompt; their hidden states are dropped.
pub const TEMPLATE_TOKENS: usize = 34;

/// Stands for the picture; repeated once per merged patch.
pub const IMAGE_TOKEN: &str = "<|image_pad|>";

/// Most tokens that a caption may have.
pub const MAX_CAPTION_TOKENS: usize = 512;

/// The text that is encoded for `prompt`.
pub fn prompt_text(prompt: &str) -> String {
    format!(
        "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial \
         relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n\
         <|im_start|>assistant\n"
    )
}

/// The text that asks for a caption of the picture in its one image token.
///
/// Line breaks stand where the reference has them, in the middle of sentences too.
pub fn caption_text(language: Language) -> &'static str {
    match language {
        Language::English => ENGLISH,
        Language::Chinese => CHINESE,
    }
}

/// The text that asks `question` about the picture in its one image token. Special tokens in the question are taken
/// out: it must not end the turn or bring a second picture.
pub fn question_text(question: &str) -> String {
    let question = question.replace("<|", "< |");
    format!(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{question}\n\
         <|vision_start|>{IMAGE_TOKEN}<|vision_end|><|im_end|>\n<|im_start|>assistant\n"
    )
}

const ENGLISH: &str = "\
<|im_start|>system\n\
You are a helpful assistant.<|im_end|>\n\
<|im_start|>user\n\
# Image Annotator\n\
You are a professional\n\
image annotator. Please write an image caption based on the input image:\n\
1. Write the caption using natural,\n\
descriptive language without structured formats or rich text.\n\
2. Enrich caption details by including: \n\
\x20- Object\n\
attributes, such as quantity, color, shape, size, material, state, position, actions, and so on\n\
\x20- Vision Relations\n\
between objects, such as spatial relations, functional relations, possessive relations, attachment relations, action\n\
relations, comparative relations, causal relations, and so on\n\
\x20- Environmental details, such as weather, lighting,\n\
colors, textures, atmosphere, and so on\n\
\x20- Identify the text clearly visible in the image, without translation or\n\
explanation, and highlight it in the caption with quotation marks\n\
3. Maintain authenticity and accuracy:\n\
\x20- Avoid\n\
generalizations\n\
\x20- Describe all visible information in the image, while do not add information not explicitly shown in\n\
the image\n\
<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n\
<|im_start|>assistant\n\
";

const CHINESE: &str = "\
<|im_start|>system\n\
You are a helpful assistant.<|im_end|>\n\
<|im_start|>user\n\
# 图像标注器\n\
你是一个专业的图像标注器。请基于输入图像，撰写图注:\n\
1.\n\
使用自然、描述性的语言撰写图注，不要使用结构化形式或富文本形式。\n\
2. 通过加入以下内容，丰富图注细节：\n\
\x20- 对象的属性：如数量、颜色、形状、大小、位置、材质、状态、动作等\n\
\x20-\n\
对象间的视觉关系：如空间关系、功能关系、动作关系、从属关系、比较关系、因果关系等\n\
\x20- 环境细节：例如天气、光照、颜色、纹理、气氛等\n\
\x20- 文字内容：识别图像中清晰可见的文字，不做翻译和解释，用引号在图注中强调\n\
3.\n\
保持真实性与准确性：\n\
\x20- 不要使用笼统的描述\n\
\x20-\n\
描述图像中所有可见的信息，但不要加入没有在图像中出现的内容\n\
<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n\
<|im_start|>assistant\n\
";
