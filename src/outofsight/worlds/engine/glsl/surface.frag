#version 330
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
