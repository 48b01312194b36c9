"""Knowledge is the ground: documents, passages and the search over them. It knows no chat."""
