"""The shading programs of the renderer (GLSL 3.30)."""

from __future__ import annotations

# the one vertex position that the colour pass and the id pass share, to the bit
PLACE = """
uniform mat4 view_projection;
invariant gl_Position;
"""

SURFACE_VERTEX = (
    """#version 330
in vec3 in_position; in vec3 in_normal; in vec4 in_colour; in vec3 in_uv;
uniform mat4 sun_matrix; uniform mat4 body_sun[BODIES];
out vec3 normal; out vec4 colour; out vec3 uv; out vec3 world; out vec3 sun_place; out vec3 body_place[BODIES];
"""
    + PLACE
    + """
void main() {
    gl_Position = view_projection * vec4(in_position, 1.0);
    world = in_position; normal = in_normal; uv = in_uv;
    colour = vec4(in_colour.rgb * in_colour.rgb, in_colour.a);
    sun_place = (sun_matrix * vec4(in_position, 1.0)).xyz * 0.5 + 0.5;
    for (int i = 0; i < BODIES; ++i) body_place[i] = (body_sun[i] * vec4(in_position, 1.0)).xyz * 0.5 + 0.5;
}
"""
)

SURFACE_FRAGMENT = """#version 330
in vec3 normal; in vec4 colour; in vec3 uv; in vec3 world; in vec3 sun_place; in vec3 body_place[BODIES];
uniform vec3 eye; uniform vec3 sun; uniform vec3 sun_colour; uniform vec3 ambient; uniform vec3 bounce;
uniform vec3 fog_colour; uniform float fog_density; uniform float shadow_texel;
uniform sampler2DArray textures; uniform sampler2DShadow sun_depth; uniform sampler2DShadow body_depth;
#if LAMPS > 0
uniform vec4 lamp_place[LAMPS]; uniform vec3 lamp_colour[LAMPS];
#endif
out vec4 pixel;
void main() {
    vec3 n = normalize(normal);
    vec3 texel = texture(textures, uv, -0.4).rgb;
    vec3 albedo = colour.rgb * texel * texel;
    float facing = dot(n, sun);
    float lit = max(facing, 0.0);
    vec2 inside = abs(sun_place.xy - 0.5);
    float reference = sun_place.z - 0.0006;
    float seen = 0.5 * (texture(sun_depth, vec3(sun_place.xy + vec2(-0.6, 0.35) * shadow_texel, reference))
                      + texture(sun_depth, vec3(sun_place.xy + vec2(0.6, -0.35) * shadow_texel, reference)));
    seen = max(seen, smoothstep(0.46, 0.5, max(inside.x, inside.y)));
    for (int i = 0; i < BODIES; ++i) {
        vec2 off = abs(body_place[i].xy - 0.5);
        float across = (body_place[i].x + float(i)) / float(BODIES);
        vec3 tile = vec3(across, body_place[i].y, min(body_place[i].z, 1.0) - 0.012);
        if (max(off.x, off.y) < 0.5) seen = min(seen, texture(body_depth, tile));
    }
    vec3 light = sun_colour * (lit * seen) + mix(bounce, ambient, 0.5 + 0.5 * n.z) * (0.88 + 0.12 * facing);
    vec3 away = world - eye;
#if LAMPS > 0
    for (int i = 0; i < LAMPS; ++i) {
        vec3 to = lamp_place[i].xyz - world;
        float d2 = dot(to, to);
        float fade = max(1.0 - d2 * lamp_place[i].w, 0.0);
        light += lamp_colour[i] * (fade * fade * (0.3 + 0.7 * max(dot(n, to) * inversesqrt(d2), 0.0)));
    }
#endif
    vec3 shade = albedo * (light + colour.a * 2.0);
    float haze = 1.0 - exp(-fog_density * length(away));
    shade = mix(shade, fog_colour, haze);
    // a soft shoulder instead of clipping; square roots are what the resolve averages back from
    shade *= 1.25;
    shade = shade * (1.0 + shade * 0.16) / (1.0 + shade * 0.55);
    pixel = vec4(sqrt(min(shade, 1.0)), 1.0);
}
"""

SKY_VERTEX = """#version 330
in vec2 in_corner;
uniform mat4 unproject;
out vec3 ray;
void main() {
    gl_Position = vec4(in_corner, 1.0, 1.0);
    ray = (unproject * vec4(in_corner, 0.0, 1.0)).xyz;
}
"""

SKY_FRAGMENT = """#version 330
in vec3 ray;
uniform vec3 sky_top; uniform vec3 sky_horizon; uniform vec3 fog_colour; uniform float clouds; uniform vec3 sun;
uniform vec3 sun_colour; uniform float stars;
uniform sampler2D cloud_noise;
out vec4 pixel;
void main() {
    vec3 d = normalize(ray);
    float up = max(d.z, 0.0);
    vec3 sky = mix(sky_horizon, sky_top, sqrt(up));
    vec2 place = d.xy / (up + 0.16);
    float puff = texture(cloud_noise, place * 0.11).r * 0.7 + texture(cloud_noise, place * 0.37 + 0.3).g * 0.3;
    float cover = smoothstep(0.80 - clouds * 0.62, 1.05 - clouds * 0.55, puff) * smoothstep(0.0, 0.25, up);
    sky = mix(sky, mix(sky_horizon, sky_horizon * 0.4 + 0.55 * sun_colour * 0.45, 0.75), cover * 0.85);
    float glare = max(dot(d, sun), 0.0);
    glare *= glare; glare *= glare; glare *= glare; glare *= glare; glare *= glare;
    sky += sun_colour * (0.35 * glare * (1.0 - 0.8 * cover));
    sky += stars * smoothstep(0.80, 0.86, texture(cloud_noise, place * 1.7).b) * (1.0 - cover) * up;
    sky = mix(fog_colour, sky, smoothstep(-0.04, 0.13, d.z));
    sky = sky * (1.0 + sky * 0.16) / (1.0 + sky * 0.55);
    pixel = vec4(sqrt(min(sky, 1.0)), 1.0);
}
"""

DEPTH_VERTEX = """#version 330
in vec3 in_position;
uniform mat4 sun_matrix;
void main() { gl_Position = sun_matrix * vec4(in_position, 1.0); }
"""

DEPTH_FRAGMENT = """#version 330
void main() {}
"""

ID_VERTEX = (
    "#version 330\nin vec3 in_position;\n"
    + PLACE
    + "void main() { gl_Position = view_projection * vec4(in_position, 1.0); }\n"
)

# 1 / gl_FragCoord.w is the clip-space w, which is the distance along the camera's z axis
ID_FRAGMENT = """#version 330
uniform float instance;
out vec2 found;
void main() { found = vec2(instance, 1.0 / gl_FragCoord.w); }
"""

RESOLVE_VERTEX = """#version 330
in vec2 in_corner;
void main() { gl_Position = vec4(in_corner, 0.0, 1.0); }
"""

# averages the samples in linear light, writes sRGB, packs colour, id and depth; the first row is the top one
RESOLVE_FRAGMENT = """#version 330
#if MULTISAMPLE
uniform sampler2DMS shaded;
#else
uniform sampler2D shaded;
#endif
uniform sampler2D found; uniform int height;
out uvec2 packed_pixel;
void main() {
    ivec2 at = ivec2(int(gl_FragCoord.x), height - 1 - int(gl_FragCoord.y));
    vec3 sum = vec3(0.0);
#if MULTISAMPLE
    for (int i = 0; i < SAMPLES; ++i) { vec3 c = texelFetch(shaded, at, i).rgb; sum += c * c; }
    sum /= float(SAMPLES);
#else
    for (int j = 0; j < SAMPLES; ++j)
        for (int i = 0; i < SAMPLES; ++i) {
            vec3 c = texelFetch(shaded, at * SAMPLES + ivec2(i, j), 0).rgb;
            sum += c * c;
        }
    sum /= float(SAMPLES * SAMPLES);
#endif
    // the sRGB curve from three square roots, within half a step of 255
    vec3 half_ = sqrt(sum), quarter = sqrt(half_), eighth = sqrt(quarter);
    vec3 curve = 0.662002687 * half_ + 0.684122060 * quarter - 0.323583601 * eighth - 0.0225411470 * sum;
    vec3 srgb = clamp(mix(sum * 12.92, curve, step(0.0031308, sum)), 0.0, 1.0);
    uvec3 bytes = uvec3(srgb * 255.0 + 0.5);
    vec2 truth = texelFetch(found, at, 0).rg;
    packed_pixel = uvec2(bytes.r | (bytes.g << 8) | (bytes.b << 16) | (uint(truth.r) << 24), floatBitsToUint(truth.g));
}
"""
