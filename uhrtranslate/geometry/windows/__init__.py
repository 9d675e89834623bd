"""How much each pixel of a tile counts where tiles overlap: one window a file, positive numbers."""
