"""What worlds are filled with: scene families, props, buildings, textures, subjects."""
