#version 330
in vec3 in_position;
// the colour pass and the id pass place a vertex by the same expression, to the bit
uniform mat4 view_projection;
invariant gl_Position;
void main() { gl_Position = view_projection * vec4(in_position, 1.0); }
