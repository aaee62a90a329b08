"""What the screens show of a depot and how changes reach the browsers: one picture per depot, sent as merge patches."""
