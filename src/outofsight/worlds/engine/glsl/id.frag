#version 330
// 1 / gl_FragCoord.w is the clip-space w, which is the distance along the camera's z axis
uniform float instance;
out vec2 found;
void main() { found = vec2(instance, 1.0 / gl_FragCoord.w); }
