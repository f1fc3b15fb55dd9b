// Drawings for <g data-draw=NAME> and <svg data-draw=NAME>: each stands on y = 0 around x = 0 and is some 200 to 300
// units high. Colours: --a, --b, --c, where a poster wants others.
const drawings = {
  cat: `
    <path d="M62 -40 C130 -30 128 -120 96 -128 C88 -130 84 -118 92 -114 C112 -104 104 -58 58 -66 Z" fill="var(--a, #f2a541)"/>
    <path d="M-66 0 C-82 -70 -58 -120 0 -124 C58 -120 82 -70 66 0 Z" fill="var(--a, #f2a541)"/>
    <path d="M-34 0 C-40 -54 -26 -84 0 -86 C26 -84 40 -54 34 0 Z" fill="var(--b, #fff3dc)"/>
    <path d="M-62 -150 L-66 -232 L-22 -204 C-8 -208 8 -208 22 -204 L66 -232 L62 -150 C60 -106 -60 -106 -62 -150 Z" fill="var(--a, #f2a541)"/>
    <path d="M-56 -212 L-54 -184 L-36 -198 Z M56 -212 L54 -184 L36 -198 Z" fill="var(--c, #e4796b)"/>
    <ellipse cx="-25" cy="-158" rx="7" ry="11" fill="#2b2320"/><ellipse cx="25" cy="-158" rx="7" ry="11" fill="#2b2320"/>
    <path d="M-7 -142 L7 -142 L0 -134 Z" fill="var(--c, #e4796b)"/>
    <path d="M0 -134 Q-10 -122 -18 -130 M0 -134 Q10 -122 18 -130" fill="none" stroke="#2b2320" stroke-width="3" stroke-linecap="round"/>
    <path d="M-40 -138 L-82 -146 M-40 -132 L-80 -128 M40 -138 L82 -146 M40 -132 L80 -128" stroke="#2b2320" stroke-width="2.5" stroke-linecap="round"/>`,
  dog: `
    <path d="M70 -70 C110 -90 112 -130 100 -140 C94 -116 84 -100 60 -92 Z" fill="var(--a, #b9774a)"/>
    <path d="M-58 0 C-74 -80 -46 -128 6 -126 C66 -120 86 -60 74 0 Z" fill="var(--a, #b9774a)"/>
    <path d="M-30 0 L-30 -60 Q-10 -74 10 -60 L10 0 Z" fill="var(--b, #f7e6d0)"/>
    <path d="M-64 -170 C-64 -226 60 -226 60 -170 C60 -112 -64 -112 -64 -170 Z" fill="var(--a, #b9774a)"/>
    <path d="M-58 -204 C-96 -200 -98 -140 -78 -128 C-62 -138 -56 -172 -44 -202 Z M56 -204 C94 -200 96 -140 76 -128 C60 -138 54 -172 42 -202 Z" fill="var(--c, #7c4a2a)"/>
    <ellipse cx="-2" cy="-146" rx="34" ry="26" fill="var(--b, #f7e6d0)"/>
    <ellipse cx="-2" cy="-158" rx="13" ry="9" fill="#2b2320"/><circle cx="-27" cy="-180" r="7" fill="#2b2320"/><circle cx="23" cy="-180" r="7" fill="#2b2320"/>
    <path d="M-2 -150 V-138 M-16 -136 Q-2 -122 12 -136" fill="none" stroke="#2b2320" stroke-width="3.5" stroke-linecap="round"/>
    <path d="M-12 -131 Q-2 -104 10 -131 Z" fill="#e4796b"/>`,
  woman: `
    <path d="M-22 -6 L-16 -90 H-2 L-4 -6 Z M6 -6 L4 -90 H18 L24 -6 Z" fill="var(--skin, #f0c39d)"/>
    <path d="M-36 0 Q-34 -14 -20 -12 H-4 V0 Z M4 0 V-12 H22 Q36 -14 38 0 Z" fill="#3a2b3f"/>
    <path d="M-20 -196 L-58 -86 Q0 -64 58 -86 L20 -196 Z" fill="var(--a, #d8434e)"/>
    <path d="M-20 -196 C-50 -190 -70 -150 -64 -118 L-50 -120 C-52 -146 -38 -164 -16 -172 Z" fill="var(--skin, #f0c39d)"/>
    <path d="M20 -196 C50 -196 74 -220 82 -254 L68 -258 C60 -228 42 -214 14 -212 Z" fill="var(--skin, #f0c39d)"/>
    <circle cx="-57" cy="-114" r="10" fill="var(--skin, #f0c39d)"/><circle cx="76" cy="-258" r="10" fill="var(--skin, #f0c39d)"/>
    <path d="M-8 -214 H8 V-192 H-8 Z" fill="var(--skin, #f0c39d)"/>
    <path d="M-40 -190 C-52 -300 52 -300 40 -190 C30 -200 -30 -200 -40 -190 Z" fill="var(--hair, #3b2a25)"/>
    <ellipse cx="0" cy="-236" rx="27" ry="31" fill="var(--skin, #f0c39d)"/>
    <path d="M-28 -238 C-28 -278 28 -278 28 -238 C14 -250 2 -256 -6 -262 C-10 -252 -20 -244 -28 -238 Z" fill="var(--hair, #3b2a25)"/>
    <circle cx="-10" cy="-233" r="3" fill="#2b2320"/><circle cx="10" cy="-233" r="3" fill="#2b2320"/>
    <path d="M-7 -220 Q0 -213 7 -220" fill="none" stroke="#b0463f" stroke-width="3" stroke-linecap="round"/>`,
  man: `
    <path d="M-28 -4 L-24 -120 H24 L28 -4 H6 L0 -90 L-6 -4 Z" fill="var(--b, #2f4858)"/>
    <path d="M-42 0 Q-40 -14 -26 -12 H-5 V0 Z M5 0 V-12 H28 Q42 -14 44 0 Z" fill="#2b2320"/>
    <path d="M-42 -190 Q0 -206 42 -190 L34 -110 H-34 Z" fill="var(--a, #2a9d8f)"/>
    <path d="M-42 -190 C-62 -168 -68 -134 -62 -104 L-46 -106 C-48 -130 -40 -150 -32 -160 Z M42 -190 C62 -168 68 -134 62 -104 L46 -106 C48 -130 40 -150 32 -160 Z" fill="var(--a, #2a9d8f)"/>
    <circle cx="-54" cy="-98" r="9" fill="var(--skin, #e3ae84)"/><circle cx="54" cy="-98" r="9" fill="var(--skin, #e3ae84)"/>
    <path d="M-9 -212 H9 V-192 Q0 -184 -9 -192 Z" fill="var(--skin, #e3ae84)"/>
    <ellipse cx="0" cy="-236" rx="28" ry="31" fill="var(--skin, #e3ae84)"/>
    <path d="M-31 -232 C-38 -288 38 -288 31 -232 C28 -250 18 -256 4 -254 C-12 -252 -26 -254 -31 -232 Z" fill="var(--hair, #241c1a)"/>
    <circle cx="-10" cy="-234" r="3" fill="#2b2320"/><circle cx="10" cy="-234" r="3" fill="#2b2320"/>
    <path d="M-8 -221 Q0 -215 8 -221" fill="none" stroke="#8c4a3a" stroke-width="3" stroke-linecap="round"/>`,
  child: `
    <path d="M-18 -4 L-16 -60 H16 L18 -4 H4 L0 -44 L-4 -4 Z" fill="var(--b, #35507a)"/>
    <path d="M-26 0 Q-24 -10 -16 -9 H-3 V0 Z M3 0 V-9 H18 Q26 -10 28 0 Z" fill="#fff"/>
    <path d="M-28 -112 Q0 -122 28 -112 L24 -54 H-24 Z" fill="var(--a, #ffb703)"/>
    <path d="M-28 -112 C-52 -126 -62 -150 -60 -170 L-48 -170 C-46 -150 -36 -136 -20 -128 Z M28 -112 C52 -126 62 -150 60 -170 L48 -170 C46 -150 36 -136 20 -128 Z" fill="var(--a, #ffb703)"/>
    <circle cx="-54" cy="-176" r="8" fill="var(--skin, #f4c9a4)"/><circle cx="54" cy="-176" r="8" fill="var(--skin, #f4c9a4)"/>
    <circle cx="0" cy="-150" r="32" fill="var(--skin, #f4c9a4)"/>
    <path d="M-34 -148 C-40 -198 40 -198 34 -148 C24 -168 -10 -172 -34 -148 Z" fill="var(--hair, #5b3a29)"/>
    <circle cx="-11" cy="-146" r="3.4" fill="#2b2320"/><circle cx="11" cy="-146" r="3.4" fill="#2b2320"/>
    <path d="M-10 -134 Q0 -124 10 -134 Z" fill="#b0463f"/>`,
  singer: `
    <path d="M-34 0 Q-32 -12 -20 -12 H-6 V0 Z M18 0 V-12 H36 Q50 -12 52 0 Z" fill="#f1f1f4"/>
    <path d="M-30 -4 L-24 -124 H24 L44 -4 H20 L0 -90 L-8 -4 Z" fill="var(--b, #14121f)"/>
    <path d="M-40 -206 Q0 -222 40 -206 L32 -112 H-32 Z" fill="var(--a, #e63976)"/>
    <path d="M-40 -206 C-70 -180 -76 -150 -70 -124 L-52 -128 C-56 -150 -46 -166 -30 -176 Z" fill="var(--a, #e63976)"/>
    <path d="M40 -206 C74 -214 62 -256 30 -250 L26 -236 C42 -236 44 -224 24 -214 Z" fill="var(--a, #e63976)"/>
    <circle cx="-61" cy="-118" r="11" fill="var(--skin, #eebd96)"/>
    <path d="M-9 -232 H9 V-208 Q0 -200 -9 -208 Z" fill="var(--skin, #eebd96)"/>
    <ellipse cx="0" cy="-252" rx="27" ry="30" fill="var(--skin, #eebd96)"/>
    <path d="M-36 -222 C-50 -310 50 -310 34 -236 C20 -270 -14 -274 -26 -262 C-30 -246 -28 -230 -36 -222 Z" fill="var(--hair, #1d1730)"/>
    <rect x="6" y="-246" width="34" height="11" rx="4" transform="rotate(-18 20 -240)" fill="#2a2a33"/><circle cx="8" cy="-238" r="10" fill="#c9ccd6"/><circle cx="32" cy="-246" r="11" fill="var(--skin, #eebd96)"/>
    <path d="M-18 -256 q6 -5 12 0 M6 -258 q6 -5 11 0" fill="none" stroke="#2b2320" stroke-width="3"/>`,
  tree: `
    <path d="M-14 0 C-8 -40 -8 -80 -6 -120 H8 C8 -80 10 -40 18 0 Z" fill="var(--b, #6b4630)"/>
    <path d="M0 -280 C50 -286 84 -246 76 -206 C104 -180 88 -128 44 -128 C20 -112 -24 -112 -46 -128 C-92 -130 -104 -182 -74 -208 C-84 -250 -46 -286 0 -280 Z" fill="var(--a, #4f8a4c)"/>`,
  pine: `
    <rect x="-10" y="-40" width="20" height="40" fill="var(--b, #5d4037)"/>
    <path d="M0 -270 L52 -180 H30 L72 -106 H44 L88 -34 H-88 L-44 -106 H-72 L-30 -180 H-52 Z" fill="var(--a, #2f6b4f)"/>`,
  pumpkin: `
    <path d="M-8 -128 C-14 -156 -2 -168 14 -170 L18 -158 C8 -154 8 -144 12 -126 Z" fill="#5c7a34"/>
    <path d="M0 -134 C40 -152 104 -132 104 -66 C104 -8 50 6 0 0 C-50 6 -104 -8 -104 -66 C-104 -132 -40 -152 0 -134 Z" fill="var(--a, #f07f1e)"/>
    <path d="M-34 -134 C-62 -100 -62 -30 -32 -2 M34 -134 C62 -100 62 -30 32 -2 M0 -134 V0" fill="none" stroke="#c75f0d" stroke-width="6"/>
    <path d="M-60 -88 L-22 -74 L-54 -58 Z M60 -88 L22 -74 L54 -58 Z M-62 -44 L-40 -36 L-24 -46 L0 -34 L24 -46 L40 -36 L62 -44 C52 -8 -52 -8 -62 -44 Z" fill="#3a1d10"/>
    <path d="M-86 -126 Q0 -156 92 -122 Q74 -140 46 -146 L30 -226 Q34 -252 64 -254 Q22 -280 -4 -236 L-46 -148 Q-70 -142 -86 -126 Z" fill="var(--b, #43306b)"/>
    <path d="M-46 -148 Q0 -166 46 -146 L43 -164 Q0 -182 -38 -166 Z" fill="var(--c, #f6c945)"/>`,
  bus: `
    <rect x="-170" y="-150" width="340" height="128" rx="22" fill="var(--a, #e5523f)"/>
    <path d="M-170 -64 H170 V-44 Q170 -22 148 -22 H-148 Q-170 -22 -170 -44 Z" fill="var(--b, #fbe9d0)"/>
    <path d="M-150 -132 h54 v52 h-54 Z M-84 -132 h54 v52 h-54 Z M-18 -132 h54 v52 h-54 Z M48 -132 h46 v52 h-46 Z M106 -132 h40 q10 0 10 12 v40 h-50 Z" fill="#bfe3ee"/>
    <circle cx="-100" cy="-24" r="30" fill="#2b2d33"/><circle cx="-100" cy="-24" r="13" fill="#d5d8de"/><circle cx="104" cy="-24" r="30" fill="#2b2d33"/><circle cx="104" cy="-24" r="13" fill="#d5d8de"/>
    <circle cx="160" cy="-54" r="8" fill="#ffe27a"/>`,
  cup: `
    <path d="M66 -120 C120 -122 118 -40 58 -44 L60 -58 C96 -56 98 -108 64 -104 Z" fill="var(--a, #ffffff)"/>
    <path d="M-74 -140 H74 C72 -60 52 -14 28 -10 H-28 C-52 -14 -72 -60 -74 -140 Z" fill="var(--a, #ffffff)"/>
    <ellipse cx="0" cy="-140" rx="74" ry="18" fill="var(--b, #efe6da)"/><ellipse cx="0" cy="-138" rx="62" ry="12" fill="var(--c, #6f4327)"/>
    <ellipse cx="0" cy="-6" rx="112" ry="14" fill="var(--b, #efe6da)"/>
    <path d="M-24 -168 q-16 -22 0 -42 t0 -40 M20 -168 q-16 -22 0 -42 t0 -40" fill="none" stroke="var(--b, #efe6da)" stroke-width="7" stroke-linecap="round"/>`,
  guitar: `
    <path d="M-8 -120 H8 V-262 H-8 Z" fill="#4a2c1a"/><path d="M-14 -292 H14 L10 -256 H-10 Z" fill="#2f1b10"/>
    <path d="M0 -132 C40 -134 54 -108 40 -84 C66 -62 62 0 0 0 C-62 0 -66 -62 -40 -84 C-54 -108 -40 -134 0 -132 Z" fill="var(--a, #d98736)"/>
    <circle cx="0" cy="-74" r="19" fill="#3a1f10"/><rect x="-24" y="-34" width="48" height="9" fill="#3a1f10"/>
    <path d="M-4 -30 V-284 M0 -30 V-284 M4 -30 V-284" stroke="#f1e3c6" stroke-width="1.4"/>`,
  balloon: `
    <path d="M0 -280 C96 -280 104 -160 34 -84 H-34 C-104 -160 -96 -280 0 -280 Z" fill="var(--a, #ef5d60)"/>
    <path d="M0 -280 C34 -280 36 -160 12 -84 H-12 C-36 -160 -34 -280 0 -280 Z" fill="var(--b, #ffe8a3)"/>
    <path d="M-32 -84 L-20 -40 M32 -84 L20 -40" stroke="#6b4630" stroke-width="3"/><rect x="-24" y="-42" width="48" height="42" rx="6" fill="#a86b3c"/>`,
  boat: `
    <path d="M-130 -50 H130 C116 -14 92 0 60 0 H-70 C-100 0 -122 -20 -130 -50 Z" fill="var(--a, #b3392f)"/>
    <rect x="-4" y="-250" width="8" height="200" fill="#5d4037"/><path d="M10 -246 C70 -190 96 -120 100 -66 H10 Z" fill="var(--b, #fff6e4)"/><path d="M-10 -220 C-50 -170 -76 -110 -84 -66 H-10 Z" fill="var(--c, #f4d9a8)"/>`,
  lantern: `
    <path d="M0 -250 V-210" stroke="#8c1c13" stroke-width="4"/><rect x="-30" y="-214" width="60" height="16" rx="3" fill="var(--b, #f3c24b)"/>
    <ellipse cx="0" cy="-130" rx="88" ry="74" fill="var(--a, #d62828)"/><path d="M-44 -194 Q-66 -130 -44 -66 M0 -204 V-56 M44 -194 Q66 -130 44 -66" fill="none" stroke="var(--b, #f3c24b)" stroke-width="4"/>
    <rect x="-30" y="-64" width="60" height="16" rx="3" fill="var(--b, #f3c24b)"/><path d="M-18 -48 V0 M-6 -48 V6 M6 -48 V6 M18 -48 V0" stroke="var(--b, #f3c24b)" stroke-width="5"/>`,
  whale: `
    <path d="M-150 -60 C-150 -150 60 -170 110 -70 C126 -84 128 -118 112 -140 C150 -140 166 -120 168 -104 C182 -120 204 -124 220 -116 C206 -84 176 -40 150 -26 C100 14 -150 30 -150 -60 Z" fill="var(--a, #3d6f9e)"/>
    <path d="M-148 -46 C-130 20 60 16 112 -8 C40 0 -80 -10 -148 -46 Z" fill="var(--b, #d9ecf5)"/>
    <circle cx="-104" cy="-66" r="8" fill="#16222e"/><path d="M-52 -26 C-40 6 -20 22 -4 24 C-4 0 -16 -22 -30 -30 Z" fill="#2f577e"/>`,
  bird: `
    <path d="M-100 -60 C-60 -130 30 -130 66 -86 L110 -76 L70 -62 C56 -10 -30 0 -70 -40 L-124 -28 Z" fill="var(--a, #2f7fb5)"/>
    <path d="M-34 -84 C0 -104 40 -80 30 -50 C4 -36 -26 -50 -34 -84 Z" fill="var(--b, #225e88)"/><circle cx="54" cy="-88" r="6" fill="#fff"/><circle cx="56" cy="-88" r="3" fill="#111"/>
    <path d="M-6 -10 V8 M14 -12 V8" stroke="#d98736" stroke-width="4"/>`,
  burger: `
    <path d="M-120 -110 C-120 -190 120 -190 120 -110 Z" fill="#e0a04a"/><path d="M-70 -146 l10 -5 M-20 -158 l11 -2 M30 -152 l11 3 M70 -134 l9 5 M0 -134 l11 0" stroke="#fff2d0" stroke-width="6" stroke-linecap="round"/>
    <path d="M-128 -104 Q-100 -82 -70 -100 T-10 -100 T52 -100 T128 -104 V-92 H-128 Z" fill="#6fa83f"/><rect x="-122" y="-92" width="244" height="14" fill="#d8432f"/>
    <path d="M-124 -78 H124 L84 -50 L60 -78 Z" fill="#f7c744"/><rect x="-124" y="-78" width="248" height="36" rx="16" fill="#6a3b22"/><path d="M-124 -78 H124 L92 -54 L62 -72 L-124 -72 Z" fill="#f7c744"/>
    <path d="M-118 -40 H118 C118 -6 100 0 84 0 H-84 C-100 0 -118 -6 -118 -40 Z" fill="#d8953c"/>`,
  house: `
    <rect x="-90" y="-120" width="180" height="120" fill="var(--a, #f3e1c3)"/><path d="M-112 -116 L0 -210 L112 -116 Z" fill="var(--b, #b84a39)"/><rect x="44" y="-206" width="24" height="56" fill="var(--b, #b84a39)"/>
    <rect x="-22" y="-74" width="44" height="74" fill="var(--c, #6b4630)"/><rect x="-74" y="-92" width="36" height="36" fill="#8fc7d9"/><rect x="40" y="-92" width="36" height="36" fill="#8fc7d9"/>`,
  bicycle: `
    <g fill="none" stroke="var(--a, #22333b)" stroke-width="9" stroke-linecap="round"><circle cx="-92" cy="-64" r="60"/><circle cx="92" cy="-64" r="60"/>
    <path d="M-92 -64 L-40 -150 H56 L0 -64 Z M-40 -150 L0 -64 M92 -64 L52 -176 H80 M-56 -158 H-22 M-40 -150 V-158"/></g>`,
  fish: `
    <path d="M-120 -60 C-80 -130 50 -130 92 -66 L140 -108 C132 -76 132 -50 142 -16 L92 -54 C50 6 -80 6 -120 -60 Z" fill="var(--a, #f58a3c)"/>
    <path d="M-40 -108 C-28 -84 -28 -36 -42 -10 M14 -106 C26 -80 26 -40 14 -14" fill="none" stroke="var(--b, #fff)" stroke-width="16"/><circle cx="-84" cy="-72" r="8" fill="#1d1d1d"/>`,
  robot: `
    <rect x="-60" y="-120" width="120" height="96" rx="16" fill="var(--a, #7b8fa8)"/><rect x="-38" y="-102" width="76" height="44" rx="6" fill="var(--b, #dfe8f2)"/>
    <rect x="-70" y="-228" width="140" height="96" rx="26" fill="var(--a, #7b8fa8)"/><rect x="-8" y="-134" width="16" height="16" fill="#4d5b6e"/><path d="M0 -228 V-256" stroke="#4d5b6e" stroke-width="6"/><circle cx="0" cy="-262" r="11" fill="var(--c, #ff6b57)"/>
    <circle cx="-30" cy="-182" r="15" fill="#fff"/><circle cx="30" cy="-182" r="15" fill="#fff"/><circle cx="-30" cy="-182" r="7" fill="#222"/><circle cx="30" cy="-182" r="7" fill="#222"/><path d="M-24 -152 H24" stroke="#333" stroke-width="6" stroke-linecap="round"/>
    <path d="M-60 -104 H-92 V-52 M60 -104 H92 V-52" fill="none" stroke="#4d5b6e" stroke-width="16" stroke-linecap="round" stroke-linejoin="round"/><path d="M-34 -24 V-8 H-52 V0 H-10 V-24 Z M34 -24 V-8 H52 V0 H10 V-24 Z" fill="#4d5b6e"/>`,
  book: `
    <path d="M0 -120 C-40 -150 -110 -150 -150 -130 V-10 C-110 -30 -40 -28 0 0 Z" fill="var(--a, #fff8ea)"/><path d="M0 -120 C40 -150 110 -150 150 -130 V-10 C110 -30 40 -28 0 0 Z" fill="var(--b, #f0e2c6)"/>
    <path d="M-126 -112 q50 -12 100 6 M-126 -88 q50 -12 100 6 M-126 -64 q50 -12 100 6 M26 -106 q50 -18 100 -6 M26 -82 q50 -18 100 -6 M26 -58 q50 -18 100 -6" fill="none" stroke="#b9a582" stroke-width="5"/>
    <path d="M-158 -124 V6 Q-80 -22 0 14 Q80 -22 158 6 V-124 L150 -130 V-10 C110 -30 40 -28 0 0 C-40 -28 -110 -30 -150 -10 V-130 Z" fill="var(--c, #9c4a2f)"/>`,
};
