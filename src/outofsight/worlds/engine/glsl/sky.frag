#version 330
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
