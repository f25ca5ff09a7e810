#version 330
// averages the samples in linear light, writes sRGB, packs colour, id and depth; the first row is the top one
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
