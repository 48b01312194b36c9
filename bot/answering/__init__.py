"""From a question to a grounded reply: understood, searched, quoted or written, checked, cited."""
