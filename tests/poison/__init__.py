"""What one client's raw data may be like without anybody else noticing."""
