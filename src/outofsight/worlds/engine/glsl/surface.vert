#version 330
in vec3 in_position; in vec3 in_normal; in vec4 in_colour; in vec3 in_uv;
uniform mat4 sun_matrix; uniform mat4 body_sun[BODIES];
out vec3 normal; out vec4 colour; out vec3 uv; out vec3 world; out vec3 sun_place; out vec3 body_place[BODIES];
// the colour pass and the id pass place a vertex by the same expression, to the bit
uniform mat4 view_projection;
invariant gl_Position;

void main() {
    gl_Position = view_projection * vec4(in_position, 1.0);
    world = in_position; normal = in_normal; uv = in_uv;
    colour = vec4(in_colour.rgb * in_colour.rgb, in_colour.a);
    sun_place = (sun_matrix * vec4(in_position, 1.0)).xyz * 0.5 + 0.5;
    for (int i = 0; i < BODIES; ++i) body_place[i] = (body_sun[i] * vec4(in_position, 1.0)).xyz * 0.5 + 0.5;
}
