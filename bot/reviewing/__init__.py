"""What people do with logged conversations: find, judge, correct, count, export and erase them."""
