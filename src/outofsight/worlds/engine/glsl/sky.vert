#version 330
in vec2 in_corner;
uniform mat4 unproject;
out vec3 ray;
void main() {
    gl_Position = vec4(in_corner, 1.0, 1.0);
    ray = (unproject * vec4(in_corner, 0.0, 1.0)).xyz;
}
